//! Work that is the same for many things, on all processors.

use std::{num::NonZero, panic::resume_unwind, thread};

/// What comes of each, in their order. A thread of its own is begun for no fewer than `least` of them.
pub fn map<T: Sync, R: Send>(items: &[T], least: usize, of: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(items.len() / least.max(1));
    if threads < 2 {
        return items.iter().map(of).collect();
    }
    let of_part = |part: &[T]| part.iter().map(&of).collect::<Vec<R>>();
    thread::scope(|scope| {
        let mut parts = items.chunks(items.len().div_ceil(threads));
        let first = parts.next().unwrap_or_default();
        let others: Vec<_> = parts.map(|part| scope.spawn(|| of_part(part))).collect();
        let mut all = of_part(first);
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_however_many_there_are() {
        for n in [0, 1, 2, 3, 5, 100, 1001] {
            let items: Vec<usize> = (0..n).collect();
            let doubled: Vec<usize> = items.iter().map(|i| i * 2).collect();
            for least in [0, 1, 7, 5000] {
                assert_eq!(map(&items, least, |i| i * 2), doubled);
            }
        }
    }

    #[test]
    #[should_panic(expected = "three")]
    fn a_panic_is_passed_on() {
        map(&[1, 2, 3, 4], 1, |i| assert!(*i != 3, "three"));
    }
}
