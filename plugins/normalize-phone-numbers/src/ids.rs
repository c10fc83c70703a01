use std::fmt::{self, Display, Formatter};

use lockgate_plugin::Uuid;

/// Users to be named in a message: the first few, and how many there are.
#[derive(Debug, Default)]
pub struct Ids {
    first: Vec<Uuid>,
    count: usize,
}

impl Ids {
    pub const SHOWN_MAX: usize = 5;

    /// The first few of so many.
    pub fn of(first: Vec<Uuid>, count: usize) -> Self {
        Self { first, count }
    }

    pub fn push(&mut self, id: Uuid) {
        self.count += 1;
        if self.first.len() < Self::SHOWN_MAX {
            self.first.push(id);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// The first few as a list of SQL literals.
    pub fn literals(&self) -> String {
        let literals: Vec<_> = self.first.iter().map(|id| format!("'{id}'")).collect();
        literals.join(", ")
    }
}

/// `1 user (a)`, `14 users (a, b, c, d, e and 9 more)`.
impl Display for Ids {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let ids: Vec<_> = self.first.iter().map(Uuid::to_string).collect();
        let users = if self.count == 1 { "user" } else { "users" };
        write!(f, "{} {users} ({}", self.count, ids.join(", "))?;
        match self.count - self.first.len() {
            0 => write!(f, ")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_few_are_named() {
        let mut ids = Ids::default();
        assert!(ids.is_empty());
        (1..=7).for_each(|n| ids.push(Uuid(n)));
        let text = ids.to_string();
        assert!(text.starts_with("7 users (00000000-0000-0000-0000-000000000001, "), "{text}");
        assert!(text.ends_with("-000000000005 and 2 more)"), "{text}");
        assert_eq!(ids.literals().matches('\'').count(), 10);
    }
}
