//! The promises of the log, tested through its public face on the disk that forgets.

use std::sync::Arc;
use std::time::Duration;

use super::format::{HEADER, RECORD};
use super::recovery::segment_name;
use super::*;
use crate::bug::Bugs;
use crate::raft::{Batch, Entry, HardState, Payload};

const NODE: u64 = 3;

pub(super) fn entry(index: u64, term: u64, text: &str) -> Entry {
    Entry { index, term, payload: Payload::Command(Arc::from(text.as_bytes())) }
}

pub(super) fn batch(ticket: u64, entries: Vec<Entry>) -> Batch {
    Batch { ticket, entries, ..Batch::default() }
}

pub(super) fn open(disk: &Memory, size: u64) -> Result<(Wal, Contents, Report), WalError> {
    open_with(disk, size, Bugs::NONE)
}

pub(super) fn open_with(
    disk: &Memory,
    size: u64,
    bugs: Bugs,
) -> Result<(Wal, Contents, Report), WalError> {
    Wal::open(Arc::new(disk.clone()), NODE, size, bugs)
}

/// Appends and waits, so that each batch is a record of its own.
pub(super) fn append(wal: &Wal, batch: Batch) {
    let ticket = batch.ticket;
    wal.append(batch).unwrap();
    wait(wal, ticket);
}

fn wait(wal: &Wal, ticket: u64) {
    for _ in 0..10_000 {
        let progress = wal.progress().borrow().clone();
        assert_eq!(progress.failed, None);
        if progress.durable >= ticket {
            return;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    panic!("batch {ticket} was not durable within 5 s");
}

/// A log of six records in two kinds of life: votes, entries, a truncation, a no-op.
fn small_log(disk: &Memory, size: u64) -> Vec<Contents> {
    let (wal, mut contents, _) = open(disk, size).unwrap();
    let vote = |term, vote| Some(HardState { term, vote: Some(vote) });
    let noop = Entry { index: 3, term: 3, payload: Payload::Noop };
    let batches = [
        Batch { hard_state: vote(1, 3), entries: vec![entry(1, 1, "one")], ..Batch::default() },
        batch(0, vec![entry(2, 1, "two"), entry(3, 1, "three"), entry(4, 1, "four")]),
        Batch { hard_state: vote(2, 1), ..Batch::default() },
        Batch {
            hard_state: vote(3, 2),
            truncate_from: Some(3),
            entries: vec![noop],
            ..Batch::default()
        },
        batch(0, vec![entry(4, 3, "")]),
        batch(0, vec![entry(5, 3, "five and some more")]),
    ];
    let mut states = vec![contents.clone()];
    for (ticket, batch) in (1..).zip(batches) {
        if let Some(state) = batch.hard_state {
            contents.hard_state = state;
        }
        if let Some(index) = batch.truncate_from {
            contents.entries.truncate(index as usize - 1);
        }
        contents.entries.extend(batch.entries.clone());
        states.push(contents.clone());
        append(&wal, Batch { ticket, ..batch });
    }
    states
}

#[test]
fn what_a_killed_process_left_in_the_cache_is_durable_once_it_was_read_back() {
    for size in [4096, 64] {
        let disk = Memory::new();
        drop(open(&disk, size).unwrap());
        // Written and never synced: the process is killed in between, the machine goes on.
        disk.lie(true);
        let states = small_log(&disk, size);
        disk.lie(false);
        let (wal, contents, _) = open(&disk, size).unwrap();
        assert_eq!(Some(&contents), states.last());
        drop(wal);
        disk.crash();
        let (_, contents, _) = open(&disk, size).unwrap();
        assert_eq!(Some(&contents), states.last(), "what Raft was told is gone");
    }
}

#[test]
fn what_was_durable_is_read_back() {
    let disk = Memory::new();
    let states = small_log(&disk, 4096);
    disk.crash();
    let (_, contents, report) = open(&disk, 4096).unwrap();
    assert_eq!(Some(&contents), states.last());
    assert_eq!(report, Report { segments: 1, records: 6, torn: None });
}

#[test]
fn a_log_goes_on_after_each_restart_and_through_many_segments() {
    let disk = Memory::new();
    let mut expected = Vec::new();
    for life in 0..8 {
        let (wal, contents, report) = open(&disk, 600).unwrap();
        assert_eq!(contents.entries, expected);
        assert!(report.segments >= life, "life {life}: {report:?}");
        for ticket in 1..=10 {
            let text = "x".repeat((life * 40 + ticket) as usize);
            expected.push(entry(expected.len() as u64 + 1, life + 1, &text));
            append(&wal, batch(ticket, expected.last().cloned().into_iter().collect()));
        }
        drop(wal);
        disk.crash();
    }
}

#[test]
fn an_entry_larger_than_a_segment_gets_a_segment_of_its_own() {
    let disk = Memory::new();
    let big = "y".repeat(5000);
    let (wal, ..) = open(&disk, 600).unwrap();
    append(&wal, batch(1, vec![entry(1, 1, "a"), entry(2, 1, &big), entry(3, 1, "b")]));
    drop(wal);
    let (_, contents, _) = open(&disk, 600).unwrap();
    assert_eq!(contents.entries, [entry(1, 1, "a"), entry(2, 1, &big), entry(3, 1, "b")]);
}

#[test]
fn batches_that_wait_share_a_sync() {
    let disk = Memory::new();
    let (wal, ..) = open(&disk, 1 << 20).unwrap();
    let before = disk.syncs();
    for ticket in 1..=1000 {
        wal.append(batch(ticket, vec![entry(ticket, 1, "z")])).unwrap();
    }
    wait(&wal, 1000);
    assert!(disk.syncs() - before < 1000, "{} syncs", disk.syncs() - before);
    drop(wal);
    assert_eq!(open(&disk, 1 << 20).unwrap().1.entries.len(), 1000);
}

/// Writes until some batches are durable, cuts the power and counts durable entries that are gone.
/// With `lie` the disk ignores every sync once the log was created.
fn lost_at_power_cut(lie: bool) -> usize {
    let disk = &Memory::new();
    drop(open(disk, 600).unwrap());
    if lie {
        disk.lie(true);
    }
    let mut lost = 0;
    let mut acknowledged = 0;
    for life in 0..10 {
        let Ok((wal, contents, _)) = open(disk, 600) else { return lost + acknowledged };
        let found = contents.entries.len();
        lost += acknowledged.max(found) - found;
        let mut ticket = 0;
        for _ in 0..20 {
            ticket += 1;
            let index = found as u64 + ticket;
            wal.append(batch(ticket, vec![entry(index, 1, "payload")])).unwrap();
            if ticket % 3 == life % 3 {
                wait(&wal, ticket);
            }
        }
        acknowledged = found + wal.progress().borrow().durable as usize;
        // What is durable at this instant is what a power cut leaves. The thread may go on writing, but not on this disk.
        let image = disk.image();
        drop(wal);
        disk.restore(image);
    }
    lost
}

#[test]
fn no_durable_entry_is_lost_at_a_power_cut() {
    assert_eq!(lost_at_power_cut(false), 0);
}

#[test]
fn without_fdatasync_the_power_cut_test_fails() {
    assert!(lost_at_power_cut(true) > 0, "a disk that ignores sync went unnoticed");
}

/// Opens a log whose one segment is `bytes`: which of `states` is it, or is it refused?
fn reopen(bytes: Vec<u8>, states: &[Contents]) -> Option<usize> {
    let disk = Memory::new();
    disk.put(&segment_name(1), bytes);
    match open(&disk, 4096) {
        Ok((wal, contents, _)) => {
            drop(wal);
            let again = open(&disk, 4096).map(|(_, contents, report)| (contents, report.torn));
            assert_eq!(again.unwrap(), (contents.clone(), None), "recovery is not idempotent");
            Some(states.iter().position(|state| *state == contents).expect("a log with a hole"))
        }
        Err(WalError::Damaged { .. } | WalError::WrongNode { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

fn one_segment() -> (Vec<u8>, Vec<Contents>) {
    let disk = Memory::new();
    let states = small_log(&disk, 1024);
    (disk.read(&segment_name(1)).unwrap(), states)
}

#[test]
fn a_log_cut_at_every_byte_is_refused_as_no_crash_shortens_a_file() {
    let (bytes, states) = one_segment();
    for length in 0..bytes.len() {
        assert_eq!(reopen(bytes[..length].to_vec(), &states), None, "cut at {length}");
    }
    assert_eq!(reopen(bytes, &states), Some(states.len() - 1));
}

#[test]
fn a_log_that_ends_in_zeros_from_any_byte_is_a_prefix() {
    let (bytes, states) = one_segment();
    let mut previous = 0;
    for kept in HEADER..bytes.len() {
        let mut torn = bytes.clone();
        torn[kept..].fill(0);
        let prefix = reopen(torn, &states).expect("a torn tail was refused");
        assert!(prefix >= previous, "cut at {kept}");
        previous = prefix;
    }
    assert_eq!(previous, states.len() - 1);
}

#[test]
fn a_log_with_any_bit_flipped_is_a_prefix_or_refused() {
    let (bytes, states) = one_segment();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let last = (HEADER..end)
        .rev()
        .find(|at| format::later_record(&bytes, *at, salt(&bytes), 1) == Some(*at))
        .unwrap();
    for at in 0..bytes.len() {
        for bit in [0, 7] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let expected = match at {
                _ if at < last => None,
                _ if at < end => Some(states.len() - 2),
                _ => Some(states.len() - 1),
            };
            assert_eq!(reopen(damaged, &states), expected, "flipped bit {bit} of {at}");
        }
    }
}

fn salt(segment: &[u8]) -> u64 {
    format::Header::decode(segment).unwrap().salt
}

#[test]
fn zeros_over_the_middle_are_refused_with_file_offset_and_remedy() {
    let (mut bytes, _) = one_segment();
    bytes[HEADER + 60..HEADER + 160].fill(0);
    let disk = Memory::new();
    disk.put(&segment_name(1), bytes);
    let message = open(&disk, 4096).err().unwrap().to_string();
    assert!(message.contains("memory/wal-00000001, offset"), "{message}");
    assert!(message.contains("restore the data directory"), "{message}");
}

/// A log of at least four segments with one entry a record.
fn segmented() -> (Memory, u64) {
    let disk = Memory::new();
    let (wal, ..) = open(&disk, 512).unwrap();
    for ticket in 1..=40 {
        append(&wal, batch(ticket, vec![entry(ticket, 1, "0123456789")]));
    }
    drop(wal);
    let segments = disk.names().unwrap().iter().filter(|name| name.starts_with("wal-")).count();
    assert!(segments >= 4, "{segments}");
    (disk, segments as u64)
}

#[test]
fn a_missing_segment_is_refused_whichever_it_is() {
    let (_, segments) = segmented();
    for missing in 1..=segments {
        let (disk, _) = segmented();
        disk.remove(&segment_name(missing)).unwrap();
        let error = open(&disk, 512).err().expect("a hole").to_string();
        assert!(error.contains(&segment_name(missing)), "{error}");
    }
}

#[test]
fn damage_to_a_sealed_segment_is_refused_at_every_byte() {
    let (disk, _) = segmented();
    let name = segment_name(2);
    let bytes = disk.read(&name).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        disk.put(&name, damaged);
        assert!(matches!(open(&disk, 512), Err(WalError::Damaged { .. })), "flipped {at}");
    }
}

#[test]
fn a_crash_between_the_new_segment_and_the_end_mark_loses_nothing() {
    let disk = Memory::new();
    let (wal, ..) = open(&disk, 512).unwrap();
    let mut ticket = 0;
    while wal.figures().segments.load(std::sync::atomic::Ordering::Relaxed) < 2 {
        ticket += 1;
        append(&wal, batch(ticket, vec![entry(ticket, 1, "0123456789")]));
    }
    drop(wal);
    // Undo the first record of the new segment and the end mark, the last two things written.
    let second = disk.read(&segment_name(2)).unwrap();
    let mut fresh = second.clone();
    fresh[HEADER..].fill(0);
    disk.put(&segment_name(2), fresh);
    let mut first = disk.read(&segment_name(1)).unwrap();
    let end = first.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for kept in 0..=RECORD {
        first[end - 1 - RECORD + kept..].fill(0);
        disk.put(&segment_name(1), first.clone());
        let (_, contents, _) = open(&disk, 512).unwrap();
        assert_eq!(contents.entries.len() as u64, ticket - 1);
        assert!(!disk.names().unwrap().contains(&segment_name(2)));
        disk.put(&segment_name(2), {
            let mut fresh = second.clone();
            fresh[HEADER..].fill(0);
            fresh
        });
    }
}

#[test]
fn an_error_of_sync_stays() {
    let disk = Memory::new();
    let (wal, ..) = open(&disk, 4096).unwrap();
    append(&wal, batch(1, vec![entry(1, 1, "a")]));
    disk.fail();
    wal.append(batch(2, vec![entry(2, 1, "b")])).unwrap();
    let failed = (0..10_000).any(|_| {
        std::thread::sleep(Duration::from_micros(500));
        wal.progress().borrow().failed.is_some()
    });
    assert!(failed);
    assert_eq!(wal.progress().borrow().durable, 1);
    assert!(matches!(wal.append(batch(3, vec![])), Err(Failure::Latched(_))));
}

#[test]
fn a_directory_is_for_one_node_at_a_time_and_one_node_only() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("deep").join("data");
    let first = Directory::open(&path).unwrap();
    let second = Directory::open(&path).unwrap_err();
    assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
    assert!(second.to_string().contains("in use by another node"), "{second}");
    let disk: Arc<dyn Disk> = Arc::new(first);
    let (wal, ..) = Wal::open(Arc::clone(&disk), 1, 8192, Bugs::NONE).unwrap();
    append(&wal, batch(1, vec![entry(1, 1, "real")]));
    drop(wal);
    let (_, contents, _) = Wal::open(Arc::clone(&disk), 1, 8192, Bugs::NONE).unwrap();
    assert_eq!(contents.entries, [entry(1, 1, "real")]);
    assert!(matches!(
        Wal::open(disk, 2, 8192, Bugs::NONE),
        Err(WalError::WrongNode { owner: 1, .. })
    ));
}
