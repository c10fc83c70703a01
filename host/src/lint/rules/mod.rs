//! The rules of our own, one file each.

pub(super) mod blocking_lock;
pub(super) mod down_drops_more;
pub(super) mod down_leaves_behind;
pub(super) mod missing_down;
pub(super) mod not_understood;
