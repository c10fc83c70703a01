//! Which components are being compiled, for somebody who sits at a terminal and waits.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    bar::{Bar, Picture},
    migration::Checksum,
};

/// How often the bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Components that are to be compiled. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Compiling(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Each by its digest and its name.
    components: Vec<(Checksum, String)>,
    stand: Mutex<Stand>,
}

#[derive(Debug, Default)]
struct Stand {
    under_way: Vec<Checksum>,
    done: usize,
}

impl Compiling {
    /// Of these components, each by its digest and its name.
    pub fn of(components: Vec<(Checksum, String)>) -> Self {
        Self(Arc::new(Shared { components, stand: Mutex::default() }))
    }

    /// A compiler begins with one; it has ended when what is returned is dropped.
    pub(super) fn begin(&self, digest: &Checksum) -> Begun {
        self.stand().under_way.push(digest.clone());
        Begun(self.clone(), digest.clone())
    }

    /// Draws how far they are while they are compiled, where that is wanted.
    pub async fn drawn<T>(&self, wanted: bool, work: impl Future<Output = T>) -> T {
        if !wanted {
            return work.await;
        }
        let (mut bar, mut work) = (Bar::new(wanted), std::pin::pin!(work));
        loop {
            match tokio::time::timeout(DRAW_EVERY, &mut work).await {
                Ok(result) => return result,
                Err(_) => bar.show(&self.picture()),
            }
        }
    }

    fn picture(&self) -> Picture {
        let (components, stand) = (&self.0.components, self.stand());
        let name = |digest: &Checksum| components.iter().find(|(of, _)| of == digest).map(|(_, name)| name.as_str());
        let names: Vec<&str> = stand.under_way.iter().filter_map(name).collect();
        let what = if names.is_empty() { "components".to_owned() } else { names.join(", ") };
        let (done, all) = (stand.done, components.len());
        let share = (all > 1).then_some((done as u64, all as u64));
        Picture { what: format!("compiling {what}"), share, told: format!("{done} of {all}") }
    }

    fn stand(&self) -> MutexGuard<'_, Stand> {
        self.0.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Compiling::begin`].
pub(super) struct Begun(Compiling, Checksum);

impl Drop for Begun {
    fn drop(&mut self) {
        let mut stand = self.0.stand();
        stand.done += 1;
        if let Some(at) = stand.under_way.iter().position(|digest| *digest == self.1) {
            stand.under_way.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_under_way_are_named_and_those_that_are_done_counted() {
        let digests = [b"a", b"b", b"c"].map(|bytes| Checksum::of_bytes(bytes));
        let names = ["001_a", "002_b", "003_c"].map(str::to_owned);
        let compiling = Compiling::of(digests.iter().cloned().zip(names).collect());
        let told = || {
            let Picture { what, told, .. } = compiling.picture();
            format!("{what}: {told}")
        };
        assert_eq!(told(), "compiling components: 0 of 3");
        let (first, second) = (compiling.begin(&digests[0]), compiling.begin(&digests[1]));
        assert_eq!(told(), "compiling 001_a, 002_b: 0 of 3");
        drop(first);
        assert_eq!(told(), "compiling 002_b: 1 of 3");
        assert_eq!(compiling.picture().share, Some((1, 3)));
        drop(second);
        drop(compiling.begin(&digests[2]));
        assert_eq!(told(), "compiling components: 3 of 3");
    }

    #[tokio::test]
    async fn what_is_drawn_is_done_all_the_same() {
        assert_eq!(Compiling::default().drawn(false, async { 7 }).await, 7);
        assert_eq!(Compiling::default().drawn(true, async { 7 }).await, 7);
    }
}
