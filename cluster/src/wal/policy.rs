//! What an error of the disk means: the one place where that is decided, as a pure function.
//!
//! Two things are done to the disk, and an error means something else in each.
//!
//! *Making room*, a segment of zeros for records to come, promises nothing. A full disk there is a state that
//! passes: what waits goes on waiting, and is tried again. So is a quota that is spent, or a limit on the size
//! of files. Any other error is a broken disk.
//!
//! *Writing a record* overwrites zeros that are on the disk already, so it needs no space, and every error of it
//! means that the disk is broken. After a failed sync nobody knows which of the pages are on the disk: Linux marks
//! them clean all the same, and the next sync succeeds without having written them (the "fsyncgate" of
//! PostgreSQL, 2018). So a node syncs no file again after an error. It stops, and what it reads back when it
//! starts again is what it has.
//!
//! Nothing here does anything; `commit`, `segments` and `room` carry it out.

use std::io::ErrorKind;

use crate::bug::{Bug, Bugs};

/// What was done when the disk refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A segment for later was made.
    Room,
    /// A record was written into a segment.
    Write,
    /// A record that had been written was synced.
    Sync,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Write nothing more, ever.
    Stop,
    /// Keep what is to be written, and try again when there may be space.
    Wait,
    /// Sync again and believe it. Only with [`Bug::FsyncRetry`].
    Again,
    /// Say that it is written. Only with [`Bug::EnospcAck`].
    Pretend,
}

/// What an error of this kind means for this work.
pub fn react(work: Work, error: ErrorKind, bugs: Bugs) -> Reaction {
    match work {
        Work::Room if is_full(error) => {
            if bugs.has(Bug::EnospcAck) {
                Reaction::Pretend
            } else {
                Reaction::Wait
            }
        }
        Work::Sync if bugs.has(Bug::FsyncRetry) => Reaction::Again,
        Work::Room | Work::Write | Work::Sync => Reaction::Stop,
    }
}

/// No space, a quota that is spent, or a limit on the size of files: passes when somebody makes room.
fn is_full(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_is_waited_for_and_only_where_nothing_was_promised() {
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
        for error in full {
            assert_eq!(react(Work::Room, error, Bugs::NONE), Reaction::Wait);
        }
        for error in full.into_iter().chain([ErrorKind::Other, ErrorKind::PermissionDenied]) {
            assert_eq!(react(Work::Write, error, Bugs::NONE), Reaction::Stop);
            assert_eq!(react(Work::Sync, error, Bugs::NONE), Reaction::Stop);
        }
        assert_eq!(react(Work::Room, ErrorKind::Other, Bugs::NONE), Reaction::Stop);
    }

    #[test]
    fn the_errors_of_the_system_are_recognised() {
        for code in [nix::libc::ENOSPC, nix::libc::EDQUOT, nix::libc::EFBIG] {
            let error = std::io::Error::from_raw_os_error(code).kind();
            assert_eq!(react(Work::Room, error, Bugs::NONE), Reaction::Wait, "{code}");
        }
    }
}
