//! Forgetting the beginning of the log, on the disk that forgets the end.
//!
//! Whatever is cut off or broken, what is read back is a state that was written, as far as it matters: the hard
//! state, and every entry after what the last durable compaction allows to be gone.

use super::tests::{append, batch, entry, open};
use super::*;
use crate::raft::{Batch, HardState, Position, Snapshot};

const SIZE: u64 = 512;

pub(super) fn at(index: u64, term: u64) -> Position {
    Position { index, term }
}

pub(super) fn compact(ticket: u64, index: u64, term: u64) -> Batch {
    Batch { ticket, compact: Some(at(index, term)), ..Batch::default() }
}

fn reset(ticket: u64, index: u64, term: u64) -> Batch {
    let snapshot = Snapshot { last: at(index, term), configuration: Default::default() };
    Batch { ticket, reset: Some(snapshot), ..Batch::default() }
}

fn vote(ticket: u64, term: u64) -> Batch {
    let hard_state = Some(HardState { term, vote: Some(3) });
    Batch { ticket, hard_state, ..Batch::default() }
}

pub(super) fn segments(disk: &Memory) -> Vec<String> {
    let names = disk.names().unwrap();
    names.into_iter().filter(|name| name.starts_with("wal-")).collect()
}

/// Votes once, writes 40 entries, takes the last ten back, writes 30 others, and compacts twice.
pub(super) fn batches() -> Vec<Batch> {
    let mut batches = vec![vote(1, 1)];
    let ticket = |batches: &Vec<Batch>| batches.len() as u64 + 1;
    for index in 1..=40 {
        batches.push(batch(ticket(&batches), vec![entry(index, 1, "0123456789")]));
    }
    batches.push(compact(ticket(&batches), 20, 1));
    batches.push(Batch { truncate_from: Some(31), ..vote(ticket(&batches), 2) });
    for index in 31..=60 {
        batches.push(batch(ticket(&batches), vec![entry(index, 2, "abcdefghij")]));
    }
    batches.push(compact(ticket(&batches), 45, 2));
    batches.push(batch(ticket(&batches), vec![entry(61, 2, "the end")]));
    batches
}

/// What each number of batches makes of an empty log.
pub(super) fn states(batches: &[Batch]) -> Vec<Contents> {
    let mut contents = Contents::default();
    let mut states = vec![contents.clone()];
    for batch in batches {
        contents.hard_state = batch.hard_state.unwrap_or(contents.hard_state);
        if let Some(snapshot) = &batch.reset {
            contents.base = snapshot.last;
            contents.entries.clear();
        }
        if let Some(from) = batch.truncate_from {
            contents.entries.retain(|entry| entry.index < from);
        }
        contents.entries.extend(batch.entries.clone());
        if let Some(base) = batch.compact {
            contents.entries.retain(|entry| entry.index > base.index);
            contents.base = base;
        }
        states.push(contents.clone());
    }
    states
}

fn write(disk: &Memory, batches: &[Batch]) {
    let (wal, ..) = open(disk, SIZE).unwrap();
    batches.iter().for_each(|batch| append(&wal, batch.clone()));
}

#[test]
fn a_compacted_log_keeps_what_follows_and_the_vote_and_loses_its_old_segments() {
    let disk = Memory::new();
    let batches = batches();
    write(&disk, &batches);
    let left = segments(&disk);
    assert!(!left.contains(&"wal-00000001".to_owned()) && left.len() < 6, "{left:?}");
    disk.crash();
    let (wal, contents, report) = open(&disk, SIZE).unwrap();
    assert_eq!(Some(&contents), states(&batches).last());
    assert_eq!((contents.base, contents.hard_state.term), (at(45, 2), 2));
    assert_eq!(report.segments, left.len() as u64);
    assert_eq!(wal.figures().segments.load(std::sync::atomic::Ordering::Relaxed), report.segments);
    append(&wal, batch(1, vec![entry(62, 2, "and on")]));
    drop(wal);
    assert_eq!(open(&disk, SIZE).unwrap().1.entries.last(), Some(&entry(62, 2, "and on")));
}

#[test]
fn a_reset_forgets_everything_and_its_old_segments_go_with_the_next_compaction() {
    let disk = Memory::new();
    let mut batches = batches();
    let mut ticket = batches.len() as u64;
    let mut next = || {
        ticket += 1;
        ticket
    };
    batches.push(reset(next(), 50, 3));
    batches.push(batch(next(), vec![entry(51, 3, "after the snapshot")]));
    write(&disk, &batches);
    let before = segments(&disk).len();
    let (wal, contents, _) = open(&disk, SIZE).unwrap();
    assert_eq!(Some(&contents), states(&batches).last());
    append(&wal, compact(1, 50, 3));
    drop(wal);
    // The one that holds the reset and what follows it, and perhaps the one with the compaction.
    let left = segments(&disk);
    assert!(left.len() < before && left.len() <= 2, "{left:?}");
    let (_, contents, _) = open(&disk, SIZE).unwrap();
    assert_eq!((contents.base, contents.entries.len()), (at(50, 3), 1));
}

#[test]
fn a_log_that_is_compacted_after_every_entry_is_read_back_wherever_its_segments_end() {
    for lag in 0..4 {
        let disk = Memory::new();
        let (wal, ..) = open(&disk, SIZE).unwrap();
        for index in 1..=60_u64 {
            let base = index.saturating_sub(lag);
            let compact = (base > 0).then_some(at(base, 1));
            let entries = vec![entry(index, 1, &"x".repeat(index as usize % 13))];
            append(&wal, Batch { ticket: index, entries, compact, ..Batch::default() });
            let copy = Memory::new();
            copy.restore(disk.image());
            let (_, contents, _) = open(&copy, SIZE).unwrap();
            assert_eq!((contents.base.index, contents.entries.len() as u64), (base, index - base));
        }
        assert!(segments(&disk).len() <= 2, "{:?}", segments(&disk));
    }
}

/// Stops the writer after each single change of the disk, and cuts the power or only kills the process.
#[test]
fn a_crash_at_any_change_of_the_disk_leaves_a_state_that_was_written() {
    let batches = batches();
    let states = states(&batches);
    let mut deaths = 0;
    for changes in 0.. {
        for power_cut in [true, false] {
            let disk = Memory::new();
            let (wal, ..) = open(&disk, SIZE).unwrap();
            disk.die_after(changes);
            let mut durable = 0;
            for batch in &batches {
                let ticket = batch.ticket;
                if wal.append(batch.clone()).is_err() || !reaches(&wal, ticket) {
                    break;
                }
                durable = ticket;
            }
            drop(wal);
            let died = disk.start_again(power_cut);
            let (wal, contents, _) = open(&disk, SIZE).unwrap_or_else(|e| panic!("{changes}: {e}"));
            let found = states.iter().rposition(|state| *state == contents);
            let found =
                found.unwrap_or_else(|| panic!("{changes}: a log with a hole: {contents:?}"));
            assert!(found as u64 >= durable, "{changes}: {durable} were durable, {found} are left");
            drop(wal);
            assert_eq!(open(&disk, SIZE).unwrap().1, contents, "recovery is not idempotent");
            if !died {
                assert!(deaths > 100, "{deaths}");
                return;
            }
            deaths += 1;
        }
    }
}

fn reaches(wal: &Wal, ticket: u64) -> bool {
    loop {
        let progress = wal.progress().borrow().clone();
        if progress.durable >= ticket || progress.failed.is_some() {
            return progress.failed.is_none();
        }
        std::thread::sleep(std::time::Duration::from_micros(50));
    }
}

/// Each subset of the segments that a crash in the middle of their deletion could leave.
#[test]
fn whatever_is_left_of_deleted_segments_is_deleted_again() {
    let batches = batches();
    let last = batches.len() - 2;
    let before = Memory::new();
    write(&before, &batches[..last]);
    let all = before.image();
    let after = Memory::new();
    after.restore(all.clone());
    let (wal, ..) = open(&after, SIZE).unwrap();
    append(&wal, Batch { ticket: 1, ..batches[last].clone() });
    drop(wal);
    let left = segments(&after);
    let deleted: Vec<_> =
        all.iter().filter(|(name, _)| name.starts_with("wal-") && !left.contains(name)).collect();
    assert!((2..8).contains(&deleted.len()), "{}", deleted.len());
    for subset in 0..1_u32 << deleted.len() {
        let disk = Memory::new();
        disk.restore(after.image());
        for (place, (name, bytes)) in deleted.iter().enumerate() {
            if subset & (1 << place) != 0 {
                disk.put(name, bytes.clone());
            }
        }
        let (wal, contents, _) = open(&disk, SIZE).unwrap_or_else(|e| panic!("{subset:b}: {e}"));
        drop(wal);
        assert_eq!(contents, states(&batches)[last + 1], "{subset:b}");
        assert_eq!(segments(&disk), left, "{subset:b}");
    }
}

#[test]
fn a_segment_that_is_still_needed_is_missed() {
    let disk = Memory::new();
    write(&disk, &batches());
    let left = segments(&disk);
    assert!(left.len() >= 2, "{left:?}");
    for missing in &left {
        let copy = Memory::new();
        copy.restore(disk.image());
        copy.remove(missing).unwrap();
        assert!(matches!(open(&copy, SIZE), Err(WalError::Damaged { .. })), "without {missing}");
    }
}

/// Flips two bits of every byte of every segment of a compacted log.
#[test]
fn a_compacted_log_with_any_bit_flipped_is_a_state_that_was_written_or_refused() {
    let disk = Memory::new();
    let batches = batches();
    write(&disk, &batches);
    let states = states(&batches);
    let (mut refused, mut taken) = (0, 0);
    for name in segments(&disk) {
        let bytes = disk.read(&name).unwrap();
        for at in 0..bytes.len() {
            for bit in [0, 7] {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let copy = Memory::new();
                copy.restore(disk.image());
                copy.put(&name, damaged);
                match open(&copy, SIZE) {
                    Ok((_, contents, _)) => {
                        let known = states.iter().rposition(|state| *state == contents);
                        // Only the last record may pass for a torn tail.
                        assert!(known >= Some(states.len() - 2), "{name}, bit {bit} of {at}");
                        taken += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 1000 && taken > 0, "{refused} refused, {taken} taken");
}
