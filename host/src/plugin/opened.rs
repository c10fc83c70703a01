//! What a component has opened in its transaction, as the server has it: in one order, because to return to a savepoint takes away
//! everything opened after it.

/// A savepoint or a cursor of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opened {
    /// By its number.
    Savepoint(u64),
    /// By its name.
    Cursor(String),
}

/// The open savepoints and cursors of one call.
#[derive(Debug, Default)]
pub(super) struct OpenedList {
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    opened: Opened,
    /// The component has let go of it, and the server has not been told yet.
    dropped: bool,
}

impl OpenedList {
    pub(super) fn push(&mut self, opened: Opened) {
        self.items.push(Item { opened, dropped: false });
    }

    /// Whether the server still has it.
    pub(super) fn has(&self, opened: &Opened) -> bool {
        self.items.iter().any(|item| item.opened == *opened)
    }

    pub(super) fn savepoints(&self) -> usize {
        self.items.iter().filter(|item| item.is_savepoint()).count()
    }

    pub(super) fn cursors(&self) -> usize {
        self.items.len() - self.savepoints()
    }

    /// The transaction is as it was when the savepoint had just been made.
    pub(super) fn returned_to(&mut self, savepoint: &Opened) {
        if let Some(at) = self.items.iter().position(|item| item.opened == *savepoint) {
            self.items.truncate(at + 1);
        }
    }

    /// It was released, if it is a savepoint, and those after it with it; or closed, if it is a cursor.
    pub(super) fn closed(&mut self, opened: &Opened) {
        let Some(at) = self.items.iter().position(|item| item.opened == *opened) else { return };
        let with_later_savepoints = self.items[at].is_savepoint();
        let mut index = 0;
        self.items.retain(|item| {
            let gone = index == at || (index > at && with_later_savepoints && item.is_savepoint());
            index += 1;
            !gone
        });
    }

    /// Notes that the component has let go of it.
    pub(super) fn dropped(&mut self, opened: &Opened) {
        if let Some(item) = self.items.iter_mut().find(|item| item.opened == *opened) {
            item.dropped = true;
        }
    }

    /// Notes that the component has let go of everything.
    pub(super) fn all_dropped(&mut self) {
        self.items.iter_mut().for_each(|item| item.dropped = true);
    }

    /// What the server is to be told of next.
    pub(super) fn next_dropped(&self) -> Option<Opened> {
        self.items.iter().find(|item| item.dropped).map(|item| item.opened.clone())
    }
}

impl Item {
    fn is_savepoint(&self) -> bool {
        matches!(self.opened, Opened::Savepoint(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(name: &str) -> Opened {
        Opened::Cursor(name.to_owned())
    }

    fn mixed() -> OpenedList {
        let mut list = OpenedList::default();
        for opened in [Opened::Savepoint(1), cursor("a"), Opened::Savepoint(2), cursor("b")] {
            list.push(opened);
        }
        list
    }

    #[test]
    fn returning_to_a_savepoint_takes_away_what_came_after_it() {
        let mut list = mixed();
        list.returned_to(&Opened::Savepoint(1));
        assert!(list.has(&Opened::Savepoint(1)));
        assert_eq!((list.savepoints(), list.cursors()), (1, 0));
    }

    #[test]
    fn releasing_a_savepoint_keeps_the_cursors_opened_after_it() {
        let mut list = mixed();
        list.closed(&Opened::Savepoint(1));
        assert_eq!((list.savepoints(), list.cursors()), (0, 2));
    }

    #[test]
    fn closing_a_cursor_keeps_all_else() {
        let mut list = mixed();
        list.closed(&cursor("a"));
        assert_eq!((list.savepoints(), list.cursors()), (2, 1));
        list.closed(&cursor("a"));
        assert_eq!(list.cursors(), 1);
    }

    #[test]
    fn what_was_dropped_is_told_in_order_unless_it_is_gone() {
        let mut list = mixed();
        assert_eq!(list.next_dropped(), None);
        list.dropped(&cursor("b"));
        assert_eq!(list.next_dropped(), Some(cursor("b")));
        list.returned_to(&Opened::Savepoint(2));
        assert_eq!(list.next_dropped(), None);
        list.all_dropped();
        assert_eq!(list.next_dropped(), Some(Opened::Savepoint(1)));
    }
}
