"""Migration `{{name}}`."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.program import Batch, Description, Step, Step_Code, Step_Sql
from wit_world.imports import log
from wit_world.imports.database import Reader, Transaction
from wit_world.imports.types import Direction, Error_Other, Finding, OtherError, Severity, Value_Text


class Program(exports.Program):
    def describe(self) -> Description:
        return Description(
            title="{{title}}",
            author="your name",
            reversible=True,
            grants=[],
            lock_timeout_ms=None,
            statement_timeout_ms=None,
        )

    def preflight(self, db: Reader) -> list[Finding]:
        return []

    def plan(self, direction: Direction, db: Reader) -> list[Step]:
        if direction == Direction.DOWN:
            return [Step_Sql("DROP TABLE {{name}}_lines;")]
        return [Step_Sql("CREATE TABLE {{name}}_lines (line text NOT NULL);"), Step_Code("fill")]

    def run(self, direction: Direction, step: str, tx: Transaction) -> None:
        if step != "fill":
            raise error("unknown-step", f"there is no step `{step}`")
        rows = tx.execute("INSERT INTO {{name}}_lines VALUES ($1)", [Value_Text("hello")])
        log.log(log.Level.INFO, f"{rows} rows written")

    def run_batch(self, direction: Direction, step: str, tx: Transaction, checkpoint: bytes | None) -> Batch:
        raise error("unknown-step", f"there is no step `{step}`")

    def verify(self, direction: Direction, db: Reader) -> list[Finding]:
        if direction == Direction.DOWN:
            return []
        [[count]] = db.query("SELECT count(*) FROM {{name}}_lines", []).rows
        if count.value == 1:
            return []
        return [Finding(Severity.BLOCK, "row-count", f"there are {count.value} rows, not 1", None)]


def error(code: str, text: str) -> Err:
    """What to raise to have the migration rolled back. Anything else that is raised reaches the operator without its text."""
    return Err(Error_Other(OtherError(code, text)))
