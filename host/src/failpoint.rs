//! Where the fault harness ends the process, as a loss of power would: at every transition from one state of a run to the next.
//!
//! Only a build with the feature `failpoints` can be told to (`FAILPOINTS=after-intent=return`, see the crate `fail`); in any other,
//! passing one is nothing.

use std::fmt;

/// A transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say where they are")]
pub enum Failpoint {
    Connected,
    Locked,
    Watched,
    BackedUp,
    TablesEnsured,
    RunStarted,
    Begun,
    Planned,
    StepDone,
    Saved,
    Recorded,
    Verified,
    Checked,
    Committed,
    BatchDone,
    CheckpointSaved,
    IntentCommitted,
    OutsideExecuted,
    OutsideProbed,
    OutsideMoved,
    RunFinished,
    Unlocked,
    BackupBegun,
    SnapshotTaken,
    DumpWritten,
    BackupReadBack,
    BackupNamed,
    ManifestWritten,
    NameClaimed,
    DumpSpooled,
    DatabaseMade,
    DatabaseMarked,
    DatabaseFilled,
    DatabaseCompared,
    JournalCarried,
    SwapMarked,
    DatabaseClosed,
    SessionsEnded,
    DatabasesSwapped,
    RehearsalBegun,
    RehearsalCopied,
    RehearsalHalfway,
    RehearsalEnded,
}

impl Failpoint {
    /// Those of a backup.
    pub const OF_A_BACKUP: [Self; 6] = [
        Self::BackupBegun,
        Self::SnapshotTaken,
        Self::DumpWritten,
        Self::BackupReadBack,
        Self::BackupNamed,
        Self::ManifestWritten,
    ];

    /// Those of a rehearsal, beside those of what it does with its copies.
    pub const OF_A_REHEARSAL: [Self; 4] =
        [Self::RehearsalBegun, Self::RehearsalCopied, Self::RehearsalHalfway, Self::RehearsalEnded];

    /// Those of a restore.
    pub const OF_A_RESTORE: [Self; 11] = [
        Self::NameClaimed,
        Self::DumpSpooled,
        Self::DatabaseMade,
        Self::DatabaseMarked,
        Self::DatabaseFilled,
        Self::DatabaseCompared,
        Self::JournalCarried,
        Self::SwapMarked,
        Self::DatabaseClosed,
        Self::SessionsEnded,
        Self::DatabasesSwapped,
    ];

    /// Those of a run.
    pub const ALL: [Self; 22] = [
        Self::Connected,
        Self::Locked,
        Self::Watched,
        Self::BackedUp,
        Self::TablesEnsured,
        Self::RunStarted,
        Self::Begun,
        Self::Planned,
        Self::StepDone,
        Self::Saved,
        Self::Recorded,
        Self::Verified,
        Self::Checked,
        Self::Committed,
        Self::BatchDone,
        Self::CheckpointSaved,
        Self::IntentCommitted,
        Self::OutsideExecuted,
        Self::OutsideProbed,
        Self::OutsideMoved,
        Self::RunFinished,
        Self::Unlocked,
    ];

    /// Passes it, or ends the process.
    #[cfg(feature = "failpoints")]
    pub(crate) fn pass(self) {
        // As nobody can catch it.
        let _ = fail::eval(&self.to_string(), |_| nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL));
    }

    /// Passes it.
    #[cfg(not(feature = "failpoints"))]
    #[allow(clippy::unused_self)]
    pub(crate) fn pass(self) {}
}

impl fmt::Display for Failpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Reads `FAILPOINTS`.
#[cfg(feature = "failpoints")]
#[must_use = "it is forgotten with the value"]
pub fn listen() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}
