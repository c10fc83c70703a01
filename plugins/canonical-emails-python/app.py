"""Migration `canonical_emails` of the auth service: `users.email_canonical`, equal for all spellings of a mailbox.

`users.email` stays as it was typed. Reading goes in pages by key, so that memory does not grow with the table; one
UPDATE a page. `plugins/canonical-emails-rust` and `-javascript` are the same migration.
"""

import uuid

from componentize_py_types import Err
from emails import canonical, is_mistyped
from wit_world import exports
from wit_world.exports.program import Batch, Description, Step, Step_Code, Step_Sql
from wit_world.imports import log
from wit_world.imports.database import Reader, Transaction
from wit_world.imports.types import (
    Direction,
    Error_Other,
    Finding,
    OtherError,
    Severity,
    Value_Null,
    Value_TextArray,
    Value_UuidArray,
)

PAGE_SIZE = 5_000
SHOWN_MAX = 5

# A derived column is nobody's change of an account: no new `updated_at`, no audit row for each user.
ADD_COLUMN = """
LOCK TABLE users IN ACCESS EXCLUSIVE MODE;
ALTER TABLE users ADD COLUMN email_canonical text;
COMMENT ON COLUMN users.email_canonical IS 'The form of email that all spellings of a mailbox share.';
ALTER TABLE users DISABLE TRIGGER users_set_updated_at, DISABLE TRIGGER users_audit;
"""
INDEX = """
ALTER TABLE users ENABLE TRIGGER users_set_updated_at, ENABLE TRIGGER users_audit;
CREATE INDEX users_email_canonical_idx ON users (email_canonical);
COMMENT ON INDEX users_email_canonical_idx IS 'Accounts of one mailbox.';
"""
DROP_COLUMN = "ALTER TABLE users DROP COLUMN email_canonical;"

FILL = """
UPDATE users SET email_canonical = new.email
FROM unnest($1::uuid[], $2::text[]) AS new (id, email) WHERE users.id = new.id
"""
SHARED = """
SELECT count(*) FROM (
    SELECT count(*) OVER (PARTITION BY email_canonical) AS users FROM users WHERE deleted_at IS NULL
) AS mailbox WHERE mailbox.users > 1
"""
LEFT_OVER = """
SELECT count(*) FROM pg_attribute
WHERE attrelid = 'users'::regclass AND attname = 'email_canonical' AND NOT attisdropped
"""


class Program(exports.Program):
    def describe(self) -> Description:
        return Description("users.email_canonical", "the Lockgate authors", True, [], None, None)

    def preflight(self, db: Reader) -> list[Finding]:
        unreadable, mistyped, domains = Users(), Users(), set()
        for page in pages(db, "SELECT id, email FROM users"):
            for user, email in page:
                address = canonical(email.value)
                if address is None:
                    unreadable.add(user.value)
                elif is_mistyped(domain := address.rpartition("@")[2]):
                    mistyped.add(user.value)
                    domains.add(domain)
        findings = []
        if unreadable.count:
            hint = "correct these addresses, then run again"
            findings.append(Finding(Severity.BLOCK, "unreadable-email", f"no readable address: {unreadable}", hint))
        if mistyped.count:
            message = f"the domain is one slip away from a well-known one ({', '.join(sorted(domains))}): {mistyped}"
            hint = "ask them for their address; this migration changes none"
            findings.append(Finding(Severity.WARN, "mistyped-domain", message, hint))
        return findings

    def plan(self, direction: Direction, db: Reader) -> list[Step]:
        if direction == Direction.UP:
            return [Step_Sql(ADD_COLUMN), Step_Code("fill"), Step_Sql(INDEX)]
        return [Step_Sql(DROP_COLUMN)]

    def run(self, direction: Direction, step: str, tx: Transaction) -> None:
        if (direction, step) != (Direction.UP, "fill"):
            raise error("unknown-step", f"there is no step `{step}`")
        unreadable, filled = Users(), 0
        for page in pages(tx, "SELECT id, email FROM users"):
            ids, addresses = [], []
            for user, email in page:
                address = canonical(email.value)
                if address is None:
                    unreadable.add(user.value)
                ids.append(user.value)
                addresses.append(address)
            filled += tx.execute(FILL, [Value_UuidArray(ids), Value_TextArray(addresses)])
        # Preflight found none, but ran before the table was locked.
        if unreadable.count:
            raise error("unreadable-email", f"no readable address: {unreadable}")
        log.log(log.Level.INFO, f"{filled} addresses have a canonical form")

    def run_batch(self, direction: Direction, step: str, tx: Transaction, checkpoint: bytes | None) -> Batch:
        raise error("unknown-step", f"there is no step `{step}`")

    def verify(self, direction: Direction, db: Reader) -> list[Finding]:
        if direction == Direction.DOWN:
            if count(db, LEFT_OVER):
                return [Finding(Severity.BLOCK, "left-over", "the column email_canonical is still there", None)]
            return []
        wrong = Users()
        for page in pages(db, "SELECT id, email, email_canonical FROM users"):
            for user, email, stored in page:
                if isinstance(stored, Value_Null) or stored.value != canonical(email.value):
                    wrong.add(user.value)
        if wrong.count:
            return [Finding(Severity.BLOCK, "not-canonical", f"another form than that of the address: {wrong}", None)]
        if shared := count(db, SHARED):
            message = f"users who share a mailbox with another: {shared}"
            return [Finding(Severity.INFO, "shared-mailbox", message, "GROUP BY email_canonical shows them")]
        return []


class Users:
    """Users to be named in a message: the first few, and how many there are. By id, never by address."""

    def __init__(self):
        self.first, self.count = [], 0

    def add(self, halves: tuple[int, int]) -> None:
        self.count += 1
        if len(self.first) < SHOWN_MAX:
            self.first.append(uuid.UUID(int=halves[0] << 64 | halves[1]))

    def __str__(self) -> str:
        more = f" and {self.count - SHOWN_MAX} more" if self.count > SHOWN_MAX else ""
        return f"{self.count} of users ({', '.join(map(str, self.first))}{more})"


def pages(db: Reader | Transaction, select: str):
    """The rows of `select`, of which the first column is users.id, page by page."""
    last = Value_Null()
    while rows := db.query(f"{select} WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT {PAGE_SIZE}", [last]).rows:
        yield rows
        last = rows[-1][0]


def count(db: Reader, sql: str) -> int:
    """The only value of a query: its count."""
    return db.query(sql, []).rows[0][0].value


def error(code: str, text: str) -> Err:
    return Err(Error_Other(OtherError(code, text)))
