//! A disk without space, and a sync that fails, on the disk that forgets.

use std::thread::sleep;
use std::time::Duration;

use super::compaction_tests::{batches, compact, segments, states};
use super::tests::{append, batch, entry, open, open_with};
use super::*;
use crate::bug::{Bug, Bugs, Mark};
use crate::raft::Batch;

const SIZE: u64 = 512;

/// Waits until the log says so of itself.
fn until(wal: &Wal, holds: impl Fn(&Progress) -> bool) -> Progress {
    for _ in 0..20_000 {
        let progress = wal.progress().borrow().clone();
        if holds(&progress) {
            return progress;
        }
        sleep(Duration::from_micros(500));
    }
    panic!("it never came to that: {:?}", wal.progress().borrow());
}

/// Long enough for a log that would go on to go on.
fn wait_for_nothing() {
    sleep(Duration::from_millis(20));
}

/// Fills the disk and queues entries until some have no place; returns the ticket of the last one.
fn fill_up(disk: &Memory, wal: &Wal) -> u64 {
    append(wal, batch(1, vec![entry(1, 1, "before")]));
    disk.fill();
    for ticket in 2..=40 {
        wal.append(batch(ticket, vec![entry(ticket, 1, "0123456789")])).unwrap();
    }
    until(wal, |progress| progress.full && progress.durable > 1);
    wait_for_nothing();
    40
}

#[test]
fn a_full_disk_takes_what_fits_keeps_the_rest_and_goes_on_by_itself() {
    let disk = Memory::new();
    let (wal, ..) = open(&disk, SIZE).unwrap();
    let last = fill_up(&disk, &wal);
    let Progress { durable, failed, full } = wal.progress().borrow().clone();
    assert!(full && failed.is_none() && (2..last).contains(&durable), "{durable}, {failed:?}");
    assert!(!disk.names().unwrap().contains(&"spare".to_owned()), "no half of a file is left");
    assert_eq!(wal.waiting() as u64, last - durable, "whoever feeds it can hold back");

    disk.limit(None);
    until(&wal, |progress| progress.durable == last && !progress.full);
    assert_eq!(wal.waiting(), 0);
    append(&wal, batch(last + 1, vec![entry(last + 1, 1, "after")]));
    drop(wal);
    disk.crash();
    assert_eq!(open(&disk, SIZE).unwrap().1.entries.len() as u64, last + 1);
}

#[test]
fn a_disk_is_full_before_the_segment_is() {
    let disk = Memory::new();
    let (wal, ..) = open(&disk, 4096).unwrap();
    disk.fill();
    let mut ticket = 0;
    while !wal.progress().borrow().full {
        ticket += 1;
        append(&wal, batch(ticket, vec![entry(ticket, 1, "0123456789")]));
        assert!(ticket < 60, "nobody has noticed");
    }
    for _ in 0..10 {
        ticket += 1;
        append(&wal, batch(ticket, vec![entry(ticket, 1, "still finds its place")]));
    }
    assert_eq!(wal.figures().segments.load(std::sync::atomic::Ordering::Relaxed), 1);
    // Nothing is written any more, and all the same it is noticed that there is space.
    disk.limit(None);
    until(&wal, |progress| !progress.full);
}

#[test]
fn what_was_durable_on_a_full_disk_is_there_after_a_power_cut_and_a_closed_log_does_not_wait() {
    let disk = Memory::new();
    let (wal, ..) = open(&disk, SIZE).unwrap();
    fill_up(&disk, &wal);
    let durable = wal.progress().borrow().durable;
    drop(wal);
    disk.crash();
    let (wal, contents, _) = open(&disk, SIZE).unwrap();
    assert_eq!(contents.entries.len() as u64, durable);
    drop(wal);
}

#[test]
fn a_compaction_goes_ahead_of_what_finds_no_space_and_makes_space() {
    let disk = Memory::new();
    let (wal, ..) = open(&disk, SIZE).unwrap();
    for ticket in 1..=40 {
        append(&wal, batch(ticket, vec![entry(ticket, 1, "0123456789")]));
    }
    disk.fill();
    let mut ticket = 40;
    while !wal.progress().borrow().full || wal.progress().borrow().durable == ticket {
        ticket += 1;
        wal.append(batch(ticket, vec![entry(ticket, 1, "0123456789")])).unwrap();
        wait_for_nothing();
    }
    let before = segments(&disk);
    // It may not speak of what is not written, nor of nothing that could go.
    wal.append(compact(ticket + 1, ticket, 1)).unwrap();
    wal.append(compact(ticket + 2, 1, 1)).unwrap();
    wait_for_nothing();
    assert_eq!(segments(&disk), before);
    wal.append(compact(ticket + 3, 30, 1)).unwrap();
    until(&wal, |progress| progress.durable == ticket + 3 && !progress.full);
    assert!(!segments(&disk).contains(&before[0]));
    drop(wal);
    disk.crash();
    let (_, contents, _) = open(&disk, SIZE).unwrap();
    assert_eq!(contents.entries.last().map(|entry| entry.index), Some(ticket));
}

/// Entries that are to be taken back cannot be what a compaction relies on.
#[test]
fn a_compaction_does_not_go_ahead_of_a_truncation_below_its_base() {
    for (from, goes_ahead) in [(30, false), (38, true)] {
        let disk = Memory::new();
        let (wal, ..) = open(&disk, SIZE).unwrap();
        for ticket in 1..=40 {
            append(&wal, batch(ticket, vec![entry(ticket, 1, "0123456789")]));
        }
        disk.fill();
        let text = "x".repeat(400);
        let entries = (from..=50).map(|index| entry(index, 2, &text)).collect();
        let truncation =
            Batch { ticket: 41, truncate_from: Some(from), entries, ..Batch::default() };
        let image = segments(&disk);
        // Behind an entry that finds no place, so that the truncation waits too.
        wal.append(batch(41, vec![entry(41, 1, &text)])).unwrap();
        wal.append(Batch { ticket: 42, ..truncation }).unwrap();
        wal.append(compact(43, 35, if goes_ahead { 1 } else { 2 })).unwrap();
        until(&wal, |progress| progress.full);
        wait_for_nothing();
        assert_eq!(segments(&disk) != image, goes_ahead, "from {from}");
        disk.limit(None);
        until(&wal, |progress| progress.durable == 43);
        drop(wal);
        let (_, contents, _) = open(&disk, SIZE).unwrap();
        let terms: Vec<u64> = contents.entries.iter().map(|entry| entry.term).collect();
        let expected: Vec<u64> = (36..=50).map(|index| if index < from { 1 } else { 2 }).collect();
        assert_eq!((contents.base.index, terms), (35, expected));
    }
}

/// What each number of items makes of an empty log, and how many batches are whole in it. Where a segment is full, one
/// batch may end in the next.
fn states_within(batches: &[Batch]) -> Vec<(u64, Contents)> {
    let parts = |batch: &Batch| {
        let Batch { ticket, hard_state, reset, truncate_from, entries, compact } = batch.clone();
        let empty = Batch { ticket: ticket - 1, ..Batch::default() };
        let mut parts = Vec::new();
        parts.extend(hard_state.map(|it| Batch { hard_state: Some(it), ..empty.clone() }));
        parts.extend(reset.map(|it| Batch { reset: Some(it), ..empty.clone() }));
        parts.extend(truncate_from.map(|it| Batch { truncate_from: Some(it), ..empty.clone() }));
        parts.extend(entries.into_iter().map(|it| Batch { entries: vec![it], ..empty.clone() }));
        parts.extend(compact.map(|it| Batch { compact: Some(it), ..empty.clone() }));
        parts.last_mut().expect("no batch is empty").ticket = ticket;
        parts
    };
    let parts: Vec<Batch> = batches.iter().flat_map(parts).collect();
    let whole = std::iter::once(0).chain(parts.iter().map(|part| part.ticket));
    whole.zip(states(&parts)).collect()
}

/// The writer dies at each single change of a disk that is full most of the time.
#[test]
fn a_crash_at_any_change_of_a_full_disk_leaves_a_state_that_was_written() {
    let batches = batches();
    let states = states_within(&batches);
    let (mut deaths, mut waits) = (0, 0);
    for changes in 0.. {
        for power_cut in [true, false] {
            let disk = Memory::new();
            let (wal, ..) = open(&disk, SIZE).unwrap();
            // Four segments: not enough for what comes before the first compaction.
            disk.limit(Some(4 * SIZE));
            disk.die_after(changes);
            let taken = batches.iter().all(|batch| wal.append(batch.clone()).is_ok());
            let last = batches.len() as u64;
            let over = |p: &Progress| p.durable == last || p.failed.is_some() || p.full;
            let mut progress = until(&wal, over);
            if progress.full && taken {
                waits += 1;
                disk.limit(Some(9 * SIZE));
                progress = until(&wal, |p| p.durable == last || p.failed.is_some());
            }
            drop(wal);
            let died = disk.start_again(power_cut);
            disk.limit(None);
            let (wal, contents, _) = open(&disk, SIZE).unwrap_or_else(|e| panic!("{changes}: {e}"));
            drop(wal);
            // A compaction that went ahead has forgotten the beginning of an earlier state.
            let found = states.iter().rev().find(|(_, state)| {
                let kept = state.entries.iter().filter(|e| e.index > contents.base.index);
                state.hard_state == contents.hard_state && kept.eq(contents.entries.iter())
            });
            let (found, _) =
                found.unwrap_or_else(|| panic!("{changes}: with a hole: {contents:?}"));
            assert!(*found >= progress.durable, "{changes}: {progress:?}, {found} are left");
            assert_eq!(open(&disk, SIZE).unwrap().1, contents, "recovery is not idempotent");
            if !died {
                assert!(deaths > 60 && waits > 30, "{deaths} deaths, {waits} waits");
                return;
            }
            deaths += 1;
        }
    }
}

/// Entries that were reported durable and are gone after a power cut, when the second of three syncs fails.
fn lost_after_a_failed_sync(bugs: Bugs) -> (u64, Vec<(Bug, Mark)>) {
    let disk = Memory::new();
    let (wal, ..) = open_with(&disk, 4096, bugs).unwrap();
    append(&wal, batch(1, vec![entry(1, 1, "before")]));
    disk.fail_once();
    wal.append(batch(2, vec![entry(2, 1, "at")])).unwrap();
    let Progress { durable, .. } = until(&wal, |p| p.durable == 2 || p.failed.is_some());
    let marks = wal.take_marks();
    drop(wal);
    disk.crash();
    (durable - open(&disk, 4096).unwrap().1.entries.len() as u64, marks)
}

#[test]
fn after_a_failed_sync_nothing_more_is_promised() {
    assert_eq!(lost_after_a_failed_sync(Bugs::NONE), (0, vec![]));
}

#[test]
fn with_the_bug_fsync_retry_an_acknowledged_entry_is_lost_at_a_power_cut() {
    let (lost, marks) = lost_after_a_failed_sync(Bug::FsyncRetry.into());
    let expected = [Mark::Reached, Mark::Triggered].map(|mark| (Bug::FsyncRetry, mark));
    assert_eq!((lost, marks), (1, expected.to_vec()));
}

/// Entries that were reported durable and are not there at the next start, when the disk was full.
fn lost_on_a_full_disk(bugs: Bugs) -> (u64, Vec<(Bug, Mark)>) {
    let disk = Memory::new();
    let (wal, ..) = open_with(&disk, SIZE, bugs).unwrap();
    disk.fill();
    for ticket in 1..=20 {
        wal.append(batch(ticket, vec![entry(ticket, 1, "0123456789")])).unwrap();
    }
    let Progress { durable, .. } = until(&wal, |p| p.durable == 20 || p.full);
    let marks = wal.take_marks();
    drop(wal);
    (durable.saturating_sub(open(&disk, SIZE).unwrap().1.entries.len() as u64), marks)
}

#[test]
fn on_a_full_disk_nothing_is_acknowledged_that_is_not_there() {
    assert_eq!(lost_on_a_full_disk(Bugs::NONE), (0, vec![]));
}

#[test]
fn with_the_bug_enospc_ack_acknowledged_entries_are_lost() {
    let (lost, marks) = lost_on_a_full_disk(Bug::EnospcAck.into());
    assert!(lost > 0, "nothing was lost");
    assert_eq!(marks[..2], [Mark::Reached, Mark::Triggered].map(|mark| (Bug::EnospcAck, mark)));
}

/// Files that can be no larger than so, as with `ulimit -f`, are a full disk too; see `tests/full`.
#[test]
fn a_real_directory_keeps_no_part_of_a_segment_that_finds_no_space() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path()).unwrap();
    // More than any file system offers.
    let error = directory.create("spare", 1 << 62).map(drop).unwrap_err();
    assert!(policy::react(policy::Work::Room, error.kind(), Bugs::NONE) == policy::Reaction::Wait);
    assert!(!directory.names().unwrap().contains(&"spare".to_owned()));
}
