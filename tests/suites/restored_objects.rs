//! A database with objects of every kind is the same after a restore.

use lockgate_tests::Scenario;

/// Each a batch of its own. Run as a superuser, because some kinds need one.
pub(crate) const OBJECTS: &[&str] = &[
    "CREATE EXTENSION pgcrypto; CREATE EXTENSION btree_gist; CREATE EXTENSION citext; COMMENT ON EXTENSION citext IS 'ours'",
    r#"CREATE SCHEMA app; CREATE SCHEMA "Odd ""name"; COMMENT ON SCHEMA app IS 'Grüße; -- and ''quotes'''"#,
    "CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy'); CREATE TYPE app.point AS (x int, y numeric(10, 2))",
    "CREATE DOMAIN app.email AS citext CHECK (VALUE ~ '@') DEFAULT 'a@b'",
    "CREATE TYPE app.span AS RANGE (subtype = float8, subtype_diff = float8mi)",
    "CREATE SEQUENCE app.numbers START 7 INCREMENT 3; SELECT nextval('app.numbers') FROM generate_series(1, 5)",
    r#"CREATE TABLE app.users (
           id int GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY, name text COLLATE "C", email app.email, mood app.mood DEFAULT 'ok',
           place app.point, span app.span, loud text GENERATED ALWAYS AS (upper(name)) STORED, number int DEFAULT nextval('app.numbers'),
           tags text[], data jsonb, bytes bytea, money numeric, at timestamptz, f float8);
       ALTER SEQUENCE app.numbers OWNED BY app.users.number"#,
    r"INSERT INTO app.users (name, mood, place, span, tags, data, bytes, money, at, f)
      SELECT E'name \t \\ ' || n, 'happy', (n, n / 3.0)::app.point, app.span(n, n + 0.5), ARRAY['a,b', NULL, n::text], jsonb_build_object('n', n),
             decode(md5(n::text), 'hex'), n / 7.0, '2026-01-01 00:00+00'::timestamptz + n * interval '1 s', n / 3.0::float8
      FROM generate_series(1, 200) n",
    "COMMENT ON COLUMN app.users.name IS 'a name'; ALTER TABLE app.users ALTER name SET STORAGE EXTERNAL, ALTER name SET STATISTICS 500",
    "CREATE INDEX users_name ON app.users (lower(name)) WHERE mood <> 'sad'; ALTER TABLE app.users CLUSTER ON users_pkey",
    "CREATE STATISTICS app.correlated (dependencies, ndistinct) ON name, mood FROM app.users",
    "CREATE TABLE app.orders (
         id int PRIMARY KEY, owner int REFERENCES app.users DEFERRABLE INITIALLY DEFERRED, room int, during tstzrange,
         EXCLUDE USING gist (room WITH =, during WITH &&));
     ALTER TABLE app.orders ADD CONSTRAINT positive CHECK (id > 0) NOT VALID",
    "INSERT INTO app.orders VALUES (1, 100, 1, '[2026-01-01, 2026-01-02)'), (2, 101, 1, '[2026-01-02, 2026-01-03)')",
    "CREATE TABLE app.events (at date NOT NULL, kind text, n int) PARTITION BY RANGE (at);
     CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY LIST (kind);
     CREATE TABLE app.events_1_a PARTITION OF app.events_1 FOR VALUES IN ('a', 'b');
     CREATE TABLE app.events_1_else PARTITION OF app.events_1 DEFAULT;
     CREATE TABLE app.events_else PARTITION OF app.events DEFAULT; CREATE INDEX ON app.events (n)",
    "INSERT INTO app.events SELECT '2026-01-01'::date + n, chr(97 + n % 4), n FROM generate_series(0, 50) n",
    "CREATE TABLE app.hashed (id int) PARTITION BY HASH (id);
     CREATE TABLE app.hashed_0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
     CREATE TABLE app.hashed_1 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
     INSERT INTO app.hashed SELECT generate_series(1, 20)",
    "CREATE TABLE app.parent (a int); CREATE TABLE app.child (b int) INHERITS (app.parent); INSERT INTO app.child VALUES (1, 2)",
    "CREATE UNLOGGED TABLE app.unlogged AS SELECT 1 AS a; CREATE TABLE app.nothing ()",
    "CREATE TABLE app.dropped (a int, b int, c int); INSERT INTO app.dropped VALUES (1, 2, 3); ALTER TABLE app.dropped DROP b",
    "ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
     CREATE POLICY own ON app.orders FOR SELECT USING (owner > 0)",
    "CREATE VIEW app.happy WITH (security_barrier) AS SELECT id, name FROM app.users WHERE mood = 'happy' WITH CHECK OPTION",
    "CREATE MATERIALIZED VIEW app.counts AS SELECT kind, count(*) FROM app.events GROUP BY kind;
     CREATE UNIQUE INDEX ON app.counts (kind)",
    "CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql SET search_path = app, pg_temp AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER touch BEFORE UPDATE ON app.users FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION app.touch();
     CREATE TRIGGER off BEFORE INSERT ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch();
     ALTER TABLE app.users DISABLE TRIGGER off;
     CREATE CONSTRAINT TRIGGER late AFTER INSERT ON app.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.touch()",
    "CREATE PROCEDURE app.nop(a int, INOUT b text DEFAULT 'x') LANGUAGE sql AS 'SELECT b'",
    "CREATE FUNCTION app.plus(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE SECURITY DEFINER
         SET work_mem = '8MB' AS 'SELECT a + b'",
    "CREATE AGGREGATE app.total(int) (SFUNC = app.plus, STYPE = int, INITCOND = '0')",
    "CREATE OPERATOR app.<+> (LEFTARG = int, RIGHTARG = int, FUNCTION = app.plus)",
    "CREATE FUNCTION app.backwards(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2, $1)'",
    "CREATE OPERATOR CLASS app.backwards_ops FOR TYPE int USING btree AS
         OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 app.backwards(int, int)",
    "CREATE INDEX orders_backwards ON app.orders (room app.backwards_ops)",
    "CREATE FUNCTION app.to_point(int) RETURNS app.point LANGUAGE sql IMMUTABLE AS 'SELECT ($1, 0)::app.point';
     CREATE CAST (int AS app.point) WITH FUNCTION app.to_point(int)",
    "CREATE TEXT SEARCH CONFIGURATION app.german (COPY = german);
     CREATE TEXT SEARCH DICTIONARY app.plain (TEMPLATE = simple, STOPWORDS = german);
     ALTER TEXT SEARCH CONFIGURATION app.german ALTER MAPPING FOR asciiword WITH app.plain, german_stem",
    "CREATE RULE quiet AS ON DELETE TO app.nothing DO INSTEAD NOTHING",
    "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
     CREATE FOREIGN TABLE app.hosts (line text) SERVER files OPTIONS (filename '/etc/hostname')",
    "CREATE PUBLICATION everything FOR TABLE app.users (id, name) WHERE (id > 3)",
    "CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM 1; END';
     CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION app.on_ddl()",
    r#"CREATE TABLE "Odd ""name"."a table; --" ("a column" int); INSERT INTO "Odd ""name"."a table; --" VALUES (1)"#,
    "SELECT lo_from_bytea(4711, decode(repeat('ab', 100000), 'hex')); COMMENT ON LARGE OBJECT 4711 IS 'large'; SELECT lo_from_bytea(0, 'x')",
];

/// `{}` is a role besides the owner.
const PRIVILEGES: &str = "
    GRANT USAGE ON SCHEMA app TO {}; GRANT SELECT (id, name), UPDATE (name) ON app.users TO {} WITH GRANT OPTION;
    REVOKE EXECUTE ON FUNCTION app.plus FROM PUBLIC; GRANT USAGE ON SEQUENCE app.numbers TO {}; GRANT SELECT ON LARGE OBJECT 4711 TO {};
    GRANT USAGE ON TYPE app.mood TO {}; ALTER TABLE app.child OWNER TO {}; GRANT USAGE ON FOREIGN SERVER files TO {};
    CREATE USER MAPPING FOR {} SERVER files; ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE {} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC";

/// Where the server has ICU.
const ICU: &str = "
    CREATE COLLATION app.folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE app.folded (a text COLLATE app.folded PRIMARY KEY); INSERT INTO app.folded VALUES ('a'), ('b')";

#[tokio::test]
async fn a_database_with_every_kind_of_object_restores_equal() {
    let scenario = Scenario::new("objects").await.tables(&["a"]);
    scenario.up().await.succeeds();
    let superuser = scenario.superuser().await;
    for objects in OBJECTS {
        superuser.lines(objects).await;
    }
    superuser.lines(&PRIVILEGES.replace("{}", &scenario.role("").await)).await;
    if let Err(refusal) = superuser.try_lines(ICU).await {
        assert!(refusal.contains("ICU is not supported in this build"), "{refusal}");
    }
    drop(superuser);

    let (schema, state) = (scenario.schema_dump(), scenario.state().await);
    let run = |arguments: &str| scenario.run_as("postgres", arguments);
    let id = run("backup --hashes").await.succeeds().backup_id();
    let drill = run("drill --output json").await.succeeds().json();
    assert_eq!(drill["level"], 3);
    assert_eq!(drill["tables_counted"], drill["tables_hashed"]);
    for way in ["--jobs 1", "--jobs 2"] {
        run(&format!("restore {id} {way}")).await.succeeds();
        is_the_same(&schema, &scenario.schema_dump());
        state.equals(&scenario.state().await);
    }
    let id = run("backup --hashes --jobs 2").await.succeeds().backup_id();
    run(&format!("restore {id}")).await.succeeds();
    is_the_same(&schema, &scenario.schema_dump());
    scenario.run("history --verify").await.succeeds();
}

/// Line by line, because nobody finds the difference between two long texts.
#[track_caller]
fn is_the_same(expected: &str, found: &str) {
    for (n, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "line {n} of the schema");
    }
    assert_eq!(expected.len(), found.len());
}
