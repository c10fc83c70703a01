use crate::Step;

impl Step {
    /// SQL that the host runs.
    pub fn sql(text: impl Into<String>) -> Self {
        Self::Sql(text.into())
    }

    /// A name that the host passes to [`Migration::run`](crate::Migration::run).
    pub fn code(name: impl Into<String>) -> Self {
        Self::Code(name.into())
    }
}
