use crate::Step;
use crate::bindings::exports::lockgate::migration::program::OutsideStep;

impl Step {
    /// SQL that the host runs: one or more statements, within the transaction.
    pub fn sql(text: impl Into<String>) -> Self {
        Self::Sql(text.into())
    }

    /// A name that the host passes to [`Migration::run`](crate::Migration::run).
    pub fn code(name: impl Into<String>) -> Self {
        Self::Code(name.into())
    }

    /// A name that the host passes to [`Migration::run_batch`](crate::Migration::run_batch) again and again, each time in a
    /// transaction of its own.
    pub fn batched(name: impl Into<String>) -> Self {
        Self::Batched(name.into())
    }

    /// One statement that commits by itself, and a query of one boolean that is true once the statement has taken effect:
    /// asked before it, to leave it out, and after it.
    ///
    /// ```
    /// use lockgate_plugin::Step;
    ///
    /// // `IF NOT EXISTS` would be content with an invalid index, as a build that was cut off leaves it.
    /// let step = Step::outside_transaction(
    ///     "CREATE INDEX CONCURRENTLY users_phone_idx ON users (phone)",
    ///     "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('users_phone_idx') AND indisvalid)",
    /// );
    /// ```
    pub fn outside_transaction(statement: impl Into<String>, probe: impl Into<String>) -> Self {
        Self::OutsideTransaction(OutsideStep { statement: statement.into(), probe: probe.into() })
    }
}
