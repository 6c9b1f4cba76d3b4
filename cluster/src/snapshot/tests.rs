//! Snapshot files on the disk that forgets, and bytes that are not as they were written.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::*;
use crate::kv::{Action, Command};
use crate::raft::{Configuration, Term};
use crate::wal::Memory;

fn files(disk: &Memory, bugs: Bugs) -> Files {
    Files::new(Arc::new(disk.clone()), 7, bugs)
}

fn pace() -> Pace {
    Pace { rate: u64::MAX, stop: Arc::default() }
}

/// A state of so many entries: a session, and a key for each other entry.
fn state(entries: u64) -> Store {
    let mut store = Store::new(Bugs::NONE);
    for index in 1..=entries {
        let (session, action) = match index {
            1 => (0, Action::OpenSession),
            _ => {
                let key = Bytes::from(format!("key {index}"));
                (1, Action::Write { key, value: Bytes::from(vec![7; 20]) })
            }
        };
        let command = Command { session, sequence: index, acknowledged: 0, action };
        store.apply(index, &command.encode());
    }
    store
}

fn snapshot(index: u64, term: Term) -> Snapshot {
    let configuration = Arc::new(Configuration::of([1, 2, 3]));
    Snapshot { last: Position { term, index }, configuration }
}

fn write(files: &Files, index: u64) -> Result<u64, SnapshotError> {
    files.write(&snapshot(index, 2), &state(index), &pace())
}

fn blocks(store: &Store) -> Vec<Vec<u8>> {
    store.export().collect()
}

fn loaded(files: &Files) -> Result<Option<u64>, SnapshotError> {
    let Some((found, store)) = files.load()? else { return Ok(None) };
    let index = found.last.index;
    assert_eq!(found, snapshot(index, 2), "the members are in it");
    assert_eq!(blocks(&store), blocks(&state(index)), "the state is whole");
    Ok(Some(index))
}

#[test]
fn what_was_written_is_read_back_and_older_ones_are_gone() {
    let disk = Memory::new();
    let files = files(&disk, Bugs::NONE);
    assert_eq!(loaded(&files).unwrap(), None);
    for index in [5, 9, 70] {
        write(&files, index).unwrap();
        disk.crash();
        assert_eq!(loaded(&files).unwrap(), Some(index));
        assert_eq!(disk.names().unwrap(), [file::name(snapshot(index, 2).last)]);
    }
    write(&files, 8).unwrap();
    assert_eq!(loaded(&files).unwrap(), Some(70), "a newer one is never replaced by an older");
}

/// Stops the writer after each single change of the disk; cuts the power or only kills the process.
fn crash_everywhere(bugs: Bugs) -> Result<u32, SnapshotError> {
    for (deaths, changes) in (0..).zip(0..) {
        for power_cut in [true, false] {
            let disk = Memory::new();
            let files = files(&disk, bugs);
            write(&files, 5)?;
            disk.die_after(changes);
            let result = write(&files, 9);
            let died = disk.start_again(power_cut);
            let expected: &[_] = if result.is_ok() { &[Some(9)] } else { &[Some(5), Some(9)] };
            let found = loaded(&files)?;
            assert!(expected.contains(&found), "after {changes} changes: {found:?}");
            disk.crash();
            assert_eq!(loaded(&files)?, found, "what was read once stays");
            if !died {
                return Ok(deaths);
            }
        }
    }
    Ok(0)
}

#[test]
fn a_crash_at_any_change_of_the_disk_leaves_the_old_snapshot_or_the_new_one() {
    let deaths = crash_everywhere(Bugs::NONE).unwrap();
    assert!(deaths >= 7, "{deaths} changes: create, header, blocks, trailer, sync, rename, sync");
}

#[test]
fn with_the_bug_snapshot_in_place_a_crash_leaves_half_a_file_and_the_start_is_refused() {
    let error = crash_everywhere(Bug::SnapshotInPlace.into()).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("snapshot-00000000000000000009"), "{error}");
}

#[test]
fn a_file_with_any_bit_flipped_or_cut_anywhere_is_refused() {
    let disk = Memory::new();
    let files = files(&disk, Bugs::NONE);
    write(&files, 5).unwrap();
    let name = file::name(snapshot(5, 2).last);
    let whole = disk.read(&name).unwrap();
    let refuse = |bytes: Vec<u8>, what: &str| {
        disk.put(&name, bytes);
        let error = files.load().expect_err(what);
        assert!(matches!(error, SnapshotError::Damaged { .. }), "{what}: {error}");
    };
    for at in 0..whole.len() {
        for bit in [0, 7] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            refuse(damaged, &format!("bit {bit} of byte {at}"));
        }
        refuse(whole[..at].to_vec(), &format!("cut at {at}"));
    }
    refuse([&whole[..], &[0]].concat(), "a byte too many");
    disk.put(&name, whole);
    assert_eq!(loaded(&files).unwrap(), Some(5));
}

#[test]
fn a_file_of_another_cluster_or_under_another_name_is_refused() {
    let disk = Memory::new();
    write(&files(&disk, Bugs::NONE), 5).unwrap();
    let stranger = Files::new(Arc::new(disk.clone()), 8, Bugs::NONE);
    assert!(stranger.load().unwrap_err().to_string().contains("belongs to cluster 7"));
    disk.rename(&file::name(snapshot(5, 2).last), &file::name(snapshot(6, 2).last)).unwrap();
    let error = files(&disk, Bugs::NONE).load().unwrap_err();
    assert!(error.to_string().contains("it holds the state as of 5@2"), "{error}");
}

#[test]
fn a_failed_or_stopped_writer_leaves_nothing_and_the_next_one_succeeds() {
    let disk = Memory::new();
    let files = files(&disk, Bugs::NONE);
    let stopped = Pace { rate: 1, stop: Arc::new(true.into()) };
    let error = files.write(&snapshot(9, 2), &state(9), &stopped).unwrap_err();
    assert!(error.to_string().contains("stopping"), "{error}");
    assert_eq!(disk.names().unwrap(), [""; 0]);
    write(&files, 9).unwrap();
    assert_eq!(loaded(&files).unwrap(), Some(9));
}

#[test]
fn a_writer_keeps_to_its_rate() {
    let files = files(&Memory::new(), Bugs::NONE);
    let start = std::time::Instant::now();
    let pace = Pace { rate: 10_000, stop: Arc::default() };
    let bytes = files.write(&snapshot(50, 2), &state(50), &pace).unwrap();
    let least = bytes as f64 / 10_000.0 * 0.9;
    assert!(bytes > 1000 && start.elapsed().as_secs_f64() > least, "{bytes} bytes");
}

/// Sends the bytes of one node's file to another, in chunks of `chunk`, of which the last `withheld` are lost.
fn transfer(
    from: &Memory,
    to: &Files,
    chunk: usize,
    withheld: usize,
) -> Result<(Snapshot, Store), SnapshotError> {
    let sender = files(from, Bugs::NONE);
    let offer = sender.offer_newest()?;
    let arrived = to.arrived(&offer)?;
    let mut bytes = Vec::new();
    sender.open(&offer, arrived)?.read_to_end(&mut bytes).unwrap();
    assert_eq!(arrived + bytes.len() as u64, offer.size);
    let (sender, receiver) = mpsc::channel(1 << 16);
    let chunks: Vec<_> = bytes.chunks(chunk).collect();
    for chunk in &chunks[..chunks.len() - withheld.min(chunks.len())] {
        sender.try_send(Bytes::copy_from_slice(chunk)).unwrap();
    }
    drop(sender);
    to.receive(offer, receiver)
}

#[test]
fn a_snapshot_that_breaks_off_goes_on_after_a_restart_and_a_power_cut_and_is_durable_in_the_end() {
    let (one, two) = (Memory::new(), Memory::new());
    write(&files(&one, Bugs::NONE), 40).unwrap();
    let receiver = files(&two, Bugs::NONE);
    let offer = files(&one, Bugs::NONE).offer_newest().unwrap();
    let mut before = 0;
    for withheld in [9, 3, 1] {
        let error = transfer(&one, &receiver, 64, withheld).unwrap_err();
        assert!(error.to_string().contains("broke off"), "{error}");
        two.crash();
        assert_eq!(loaded(&receiver).unwrap(), None, "half of one is none");
        let arrived = receiver.arrived(&offer).unwrap();
        assert!(arrived > before && arrived + 64 * withheld as u64 >= offer.size, "{arrived}");
        before = arrived;
    }
    let (arrived, store) = transfer(&one, &receiver, 64, 0).unwrap();
    assert_eq!((arrived, blocks(&store)), (snapshot(40, 2), blocks(&state(40))));
    two.crash();
    assert_eq!(loaded(&receiver).unwrap(), Some(40));
}

#[test]
fn a_damaged_snapshot_that_arrives_is_not_taken() {
    let (one, two) = (Memory::new(), Memory::new());
    write(&files(&one, Bugs::NONE), 40).unwrap();
    write(&files(&two, Bugs::NONE), 5).unwrap();
    let name = file::name(snapshot(40, 2).last);
    let mut bytes = one.read(&name).unwrap();
    bytes[300] ^= 1;
    one.put(&name, bytes);
    let error = transfer(&one, &files(&two, Bugs::NONE), 64, 0).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    assert_eq!(loaded(&files(&two, Bugs::NONE)).unwrap(), Some(5));
}

#[test]
fn a_power_cut_at_any_change_while_receiving_leaves_the_old_snapshot_or_the_new_one() {
    let one = Memory::new();
    write(&files(&one, Bugs::NONE), 9).unwrap();
    for changes in 0..40 {
        let two = Memory::new();
        let receiver = files(&two, Bugs::NONE);
        write(&receiver, 5).unwrap();
        two.die_after(changes);
        let arrived = transfer(&one, &receiver, 100, 0).is_ok();
        two.crash();
        let found = loaded(&receiver).unwrap();
        assert!(found == Some(9) || !arrived && found == Some(5), "{changes}: {found:?}");
    }
}

/// What has arrived of one snapshot is nothing to another, nor to a newer state of this node's own.
#[test]
fn what_has_arrived_of_another_snapshot_is_removed() {
    let (one, two) = (Memory::new(), Memory::new());
    let receiver = files(&two, Bugs::NONE);
    for (index, left) in [(40, 1), (50, 1), (45, 1)] {
        one.restore(Vec::new());
        write(&files(&one, Bugs::NONE), index).unwrap();
        transfer(&one, &receiver, 64, 5).unwrap_err();
        let names = two.names().unwrap();
        assert_eq!(names.len(), left, "{names:?}");
        assert!(names[0].contains(&format!("{index:020}")), "{names:?}");
    }
    write(&receiver, 44).unwrap();
    assert_eq!(two.names().unwrap().len(), 2, "what is newer stays");
    write(&receiver, 46).unwrap();
    assert_eq!(two.names().unwrap(), [file::name(snapshot(46, 2).last)]);
}

/// A power cut may take bytes from the middle of what had arrived: the check of the whole finds it, and then it
/// starts over.
#[test]
fn a_part_that_is_damaged_is_found_at_the_end_and_sent_again() {
    let (one, two) = (Memory::new(), Memory::new());
    write(&files(&one, Bugs::NONE), 40).unwrap();
    let receiver = files(&two, Bugs::NONE);
    transfer(&one, &receiver, 64, 9).unwrap_err();
    let part = two.names().unwrap().remove(0);
    let mut bytes = two.read(&part).unwrap();
    bytes[200..260].fill(0);
    two.put_growing(&part, bytes);
    let error = transfer(&one, &receiver, 64, 0).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    assert_eq!(two.names().unwrap(), [""; 0]);
    transfer(&one, &receiver, 64, 0).unwrap();
    assert_eq!(loaded(&receiver).unwrap(), Some(40));
}

#[test]
fn a_disk_that_is_full_keeps_nothing_of_what_arrives() {
    let (one, two) = (Memory::new(), Memory::new());
    write(&files(&one, Bugs::NONE), 40).unwrap();
    two.limit(Some(300));
    let receiver = files(&two, Bugs::NONE);
    let error = transfer(&one, &receiver, 64, 0).unwrap_err();
    assert!(matches!(error, SnapshotError::Io { .. }), "{error}");
    assert_eq!(two.names().unwrap(), [""; 0]);
    two.limit(None);
    transfer(&one, &receiver, 64, 0).unwrap();
}
