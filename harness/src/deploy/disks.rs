//! The disks under the nodes, from the harness's side: their orders, the independent look at what they hold, and the
//! bits that are flipped in files.
//!
//! Mounts are seen only in the guardian's namespace. The kernel shows that to others under `/proc/PID/root`, which is
//! how a file is read here the way a node reads it.
//!
//! Every order waits for its answer, with a limit. A line on which an answer did not come in time is not used again: the
//! late answer would be taken for that of the next order. The disk it led to is told nothing more, and says so.
//! Healing at a release is only sent; its answers are passed over by whoever uses the line next. Without mounts a node's files are plain files: bits can be flipped in
//! them, and nothing else.

use super::{NodePaths, lock};
use crate::disk::{Wanted, mount};
use faults::Random;
use faults::disk::{Answer, Flipped, Image, Order, Promises};
use history::NodeId;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

/// How much a disk holds, in bytes. It is memory, taken as it is used.
const CAPACITY_BYTES: u64 = 1 << 30;
/// How long an order may take; a loss waits two seconds for files to be closed.
const ORDER_LIMIT: Duration = Duration::from_secs(8);
/// The newest files of a node, so many, are not at rest: its log, the log's next file and a snapshot.
const NEWEST: usize = 3;
/// How far from the last byte that is not zero a flip stays, in bytes.
const MARGIN_BYTES: usize = 64 * 1024;
/// Stream of the draws of a flip.
const FLIP_STREAM: u64 = 1;

/// The disks of one deployment.
pub(super) struct DiskSet {
    /// The lines to the mounts; empty where there are none.
    lines: BTreeMap<NodeId, Mutex<Line>>,
    /// Each node's data folder, as it can be read from here.
    folders: BTreeMap<NodeId, PathBuf>,
    /// What was flipped and not turned back.
    flipped: Mutex<BTreeMap<NodeId, Flip>>,
}

/// A bit that was flipped, and the byte that this left.
struct Flip {
    flipped: Flipped,
    byte: u8,
}

impl DiskSet {
    /// Plain files.
    pub(super) fn plain(nodes: &BTreeMap<NodeId, NodePaths>) -> Self {
        let folders = nodes.iter().map(|(node, paths)| (*node, paths.data.clone())).collect();
        Self { lines: BTreeMap::new(), folders, flipped: Mutex::default() }
    }

    /// Mounts a disk over the data folder of each node, in the namespace of the process `guardian`.
    pub(super) fn mounted(
        nodes: &BTreeMap<NodeId, NodePaths>,
        promises: Promises,
        (socket, guardian): (&UnixDatagram, u32),
    ) -> Result<Self, String> {
        let mut disks = Self::plain(nodes);
        for (node, paths) in nodes {
            let text = |error: std::io::Error| format!("the disk of {node}: {error}");
            std::fs::create_dir_all(&paths.data).map_err(text)?;
            let place = paths.data.clone();
            let wanted = Wanted { place, promises, capacity: CAPACITY_BYTES };
            let line = mount(socket, &wanted).map_err(text)?;
            line.set_read_timeout(Some(ORDER_LIMIT)).map_err(text)?;
            line.set_write_timeout(Some(ORDER_LIMIT)).map_err(text)?;
            let mut line = Line::new(line);
            line.hear().map_err(|why| format!("the disk of {node}: {why}"))?;
            disks.lines.insert(*node, Mutex::new(line));
            let below = paths.data.strip_prefix("/").unwrap_or(&paths.data);
            disks.folders.insert(
                *node,
                Path::new("/proc").join(guardian.to_string()).join("root").join(below),
            );
        }
        Ok(disks)
    }

    /// Tells a disk something, and takes the independent look after a loss.
    pub(super) fn tell(&self, node: NodeId, order: Order) -> Result<Answer, String> {
        let fail = |why: String| format!("the disk of {node}: {why}");
        let Some(line) = self.lines.get(&node) else {
            return Err(fail("it is not one of ours".to_owned()));
        };
        let mut line = lock(line);
        let mut answer = line.tell(order).map_err(fail)?;
        if answer.lost.is_some()
            && let Some(folder) = self.folders.get(&node)
        {
            let image = Image::of(folder).map_err(|error| fail(error.to_string()))?;
            answer.read_back = Some(image.digest());
        }
        Ok(answer)
    }

    /// Whether there are mounts.
    pub(super) fn are_mounted(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Sends every disk the order to heal, and does not wait for the answers. Where an order is being waited for the
    /// line is left alone: whoever waits has a limit, and the end of the run undoes the rest.
    pub(super) fn release(&self) {
        for line in self.lines.values() {
            let line = match line.try_lock() {
                Ok(line) => Some(line),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            if let Some(mut line) = line {
                let _ = line.send(Order::Heal);
            }
        }
    }

    /// Leaves the files of each node in its folder, for whoever looks there once the mounts are gone.
    ///
    /// A disk that was full although nobody filled it makes the run worth nothing: a correct system waits there.
    pub(super) fn keep(&self) -> Result<(), String> {
        for node in self.lines.keys() {
            if self.tell(*node, Order::Keep)?.figures.overflowed > 0 {
                let capacity = CAPACITY_BYTES >> 20;
                return Err(format!(
                    "the disk of {node} was full: under disk faults a node has {capacity} MiB; \
                     try a shorter `--time` or a lower `--rate`"
                ));
            }
        }
        Ok(())
    }

    /// Flips one bit in a file at rest; none if there is no such file.
    pub(super) fn flip(&self, node: NodeId, seed: u64) -> std::io::Result<Option<Flipped>> {
        let Some(folder) = self.folders.get(&node) else { return Ok(None) };
        let mut random = Random::new(seed, FLIP_STREAM);
        let mut candidates = at_rest(folder)?;
        random.shuffle(&mut candidates);
        for file in candidates {
            let bytes = std::fs::read(folder.join(&file))?;
            let extent = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let places = &bytes[..extent - MARGIN_BYTES.min(extent / 2)];
            let places: Vec<usize> =
                (0..places.len()).filter(|place| places[*place] != 0).collect();
            if places.is_empty() {
                continue;
            }
            let place = places[usize::try_from(random.below(places.len() as u64)).unwrap_or(0)];
            let bit = u8::try_from(random.below(8)).unwrap_or(0);
            let byte = bytes[place] ^ (1 << bit);
            put(&folder.join(&file), place as u64, byte)?;
            let flipped = Flipped { file, offset: place as u64, bit };
            lock(&self.flipped).insert(node, Flip { flipped: flipped.clone(), byte });
            return Ok(Some(flipped));
        }
        Ok(None)
    }

    /// Turns back what was flipped there, unless its file is gone or shorter, or the byte is another now: the node
    /// wrote it anew then. What was flipped is forgotten once that is known, and not after an error.
    pub(super) fn flip_back(&self, node: NodeId) -> std::io::Result<bool> {
        let mut all = lock(&self.flipped);
        let (Some(flip), Some(folder)) = (all.get(&node), self.folders.get(&node)) else {
            return Ok(false);
        };
        let Flipped { file, offset, bit } = &flip.flipped;
        let path = folder.join(file);
        let still = byte_at(&path, *offset)? == Some(flip.byte);
        if still {
            put(&path, *offset, flip.byte ^ (1 << bit))?;
        }
        all.remove(&node);
        Ok(still)
    }

    /// Empties the data folder of a dead node, durably, and forgets what was flipped there. The folder stays where it
    /// is, because something may be mounted there.
    pub(super) fn wipe(&self, node: NodeId) -> std::io::Result<()> {
        let Some(folder) = self.folders.get(&node) else { return Ok(()) };
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        // Or the next loss of power brings the names back.
        std::fs::File::open(folder)?.sync_all()?;
        lock(&self.flipped).remove(&node);
        Ok(())
    }
}

/// The way to one disk, and back.
struct Line {
    stream: BufReader<UnixStream>,
    /// Answers that nobody waits for are still to come, so many.
    owed: usize,
    /// An answer did not come in time.
    lost: bool,
}

impl Line {
    fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream), owed: 0, lost: false }
    }

    /// Sends an order and waits for its answer.
    fn tell(&mut self, order: Order) -> Result<Answer, String> {
        if self.lost {
            return Err("it did not answer in time before, and is told nothing more".to_owned());
        }
        self.send(order)?;
        while self.owed > 1 {
            // A disk may refuse; that is an answer too.
            let passed = self.hear();
            if self.lost {
                return passed;
            }
        }
        self.hear()
    }

    /// Sends an order whose answer is owed from then on.
    fn send(&mut self, order: Order) -> Result<(), String> {
        let mut text = serde_json::to_vec(&order).map_err(|error| error.to_string())?;
        text.push(b'\n');
        let sent = self.stream.get_mut().write_all(&text);
        // Perhaps a part of it is on its way.
        self.lost |= sent.is_err();
        self.owed += 1;
        sent.map_err(|error| error.to_string())
    }

    /// Takes in the next answer, or, at the beginning, that the disk is there.
    fn hear(&mut self) -> Result<Answer, String> {
        let mut text = String::new();
        let read = self.stream.read_line(&mut text);
        self.owed = self.owed.saturating_sub(1);
        self.lost |= !matches!(read, Ok(length) if length > 0);
        match read {
            Ok(0) => Err("it is gone".to_owned()),
            Ok(_) => serde_json::from_str::<Result<Answer, String>>(&text)
                .unwrap_or_else(|error| Err(error.to_string())),
            Err(error) => Err(format!("no answer: {error}")),
        }
    }
}

/// One byte of a file; none if the file is gone or shorter.
fn byte_at(path: &Path, offset: u64) -> std::io::Result<Option<u8>> {
    let mut byte = [0];
    match std::fs::File::open(path).and_then(|file| file.read_exact_at(&mut byte, offset)) {
        Ok(()) => Ok(Some(byte[0])),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The files of a folder but for the newest and the empty ones, by name.
fn at_rest(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        if data.is_file() && data.len() > 0 {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((data.mtime(), data.mtime_nsec(), name));
        }
    }
    files.sort();
    files.truncate(files.len().saturating_sub(NEWEST));
    Ok(files.into_iter().map(|(_, _, name)| name).collect())
}

/// Writes one byte, durably.
fn put(path: &Path, offset: u64, byte: u8) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.write_all_at(&[byte], offset)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(folder: &Path) -> DiskSet {
        let file = |name: &str| folder.join(name);
        let paths = NodePaths {
            log: file("log"),
            data: folder.to_owned(),
            marks: file("marks"),
            clock: file("clock"),
        };
        DiskSet::plain(&BTreeMap::from([(NodeId(1), paths)]))
    }

    #[test]
    fn a_bit_is_flipped_in_a_file_at_rest_and_turned_back() {
        let folder = tempfile::tempdir().unwrap();
        let old = vec![7_u8; 200_000];
        for (age, name) in ["old", "spare", "log", "newest"].into_iter().enumerate() {
            let path = folder.path().join(name);
            std::fs::write(&path, &old).unwrap();
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000 + age as u64);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        let before = Image::of(folder.path()).unwrap();
        for seed in 0..20 {
            let disks = set(folder.path());
            let flipped = disks.flip(NodeId(1), seed).unwrap().unwrap();
            assert_eq!(flipped.file, "old");
            assert!(flipped.offset < 200_000 - MARGIN_BYTES as u64, "{flipped:?}");
            let bytes = std::fs::read(folder.path().join("old")).unwrap();
            let wrong: Vec<usize> = (0..bytes.len()).filter(|place| bytes[*place] != 7).collect();
            assert_eq!(wrong, [flipped.offset as usize]);
            assert!(disks.flip_back(NodeId(1)).unwrap());
            assert!(!disks.flip_back(NodeId(1)).unwrap(), "only once");
            assert_eq!(Image::of(folder.path()).unwrap(), before);
            // The flip made it the newest.
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
            let old = std::fs::File::options().write(true).open(folder.path().join("old"));
            old.unwrap().set_modified(time).unwrap();
        }
    }

    /// What the node left in the file, whether the flip is turned back, and what is there then.
    type Rewritten = (Option<&'static [u8]>, bool, Option<&'static [u8]>);

    #[test]
    fn what_was_written_anew_is_not_turned_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let cases: [Rewritten; 4] = [
            (None, true, Some(&[7; 100])),
            (Some(&[9; 100]), false, Some(&[9; 100])),
            (Some(&[7; 100]), false, Some(&[7; 100])),
            (Some(&[]), false, Some(&[])),
        ];
        for (anew, turned, wanted) in cases {
            for (age, name) in ["old", "spare", "log", "newest"].into_iter().enumerate() {
                std::fs::write(file(name), [7; 100]).unwrap();
                let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000 + age as u64);
                let options = std::fs::File::options().write(true).open(file(name));
                options.unwrap().set_modified(time).unwrap();
            }
            let disks = set(folder.path());
            assert_eq!(disks.flip(NodeId(1), 1).unwrap().unwrap().file, "old");
            if let Some(bytes) = anew {
                std::fs::write(file("old"), bytes).unwrap();
            }
            assert_eq!(disks.flip_back(NodeId(1)).unwrap(), turned, "{anew:?}");
            assert_eq!(std::fs::read(file("old")).ok().as_deref(), wanted);
        }
    }

    #[test]
    fn wiping_empties_a_folder_keeps_it_and_forgets_the_flip() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("log")).unwrap();
        std::fs::write(folder.path().join("log/1"), "x").unwrap();
        let disks = set(folder.path());
        let flipped = disks.flip(NodeId(1), 1).unwrap().unwrap();
        disks.wipe(NodeId(1)).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let byte = b'x' ^ (1 << flipped.bit);
        std::fs::write(folder.path().join(flipped.file), [byte]).unwrap();
        assert!(!disks.flip_back(NodeId(1)).unwrap(), "the next life's file is its own");
    }

    /// A set with a disk that the test plays, and the disk's end of the line.
    fn played(folder: &Path, limit: Duration) -> (DiskSet, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(limit)).unwrap();
        let mut disks = set(folder);
        disks.lines.insert(NodeId(1), Mutex::new(Line::new(ours)));
        (disks, theirs)
    }

    fn answer(syncs: u64) -> String {
        let mut answer = Answer::default();
        answer.figures.syncs = syncs;
        serde_json::to_string(&Ok::<_, String>(answer)).unwrap() + "\n"
    }

    #[test]
    fn a_late_answer_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let (disks, mut theirs) = played(folder.path(), Duration::from_millis(1));
        assert!(disks.tell(NodeId(1), Order::Hang).unwrap_err().contains("no answer"));
        theirs.write_all(answer(1).as_bytes()).unwrap();
        let again = disks.tell(NodeId(1), Order::Look);
        assert!(again.unwrap_err().contains("told nothing more"));
    }

    #[test]
    fn a_release_waits_for_no_answer_and_leaves_none_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let (disks, mut theirs) = played(folder.path(), Duration::from_secs(10));
        // No answer is there yet, so that whoever waits for one waits for ever.
        disks.release();
        disks.release();
        let refused = serde_json::to_string(&Err::<Answer, _>("no")).unwrap() + "\n";
        theirs.write_all((answer(1) + &refused + &answer(3)).as_bytes()).unwrap();
        assert_eq!(disks.tell(NodeId(1), Order::Look).unwrap().figures.syncs, 3);
        let mut told = String::new();
        drop(disks);
        std::io::Read::read_to_string(&mut theirs, &mut told).unwrap();
        assert_eq!(told.lines().collect::<Vec<_>>(), ["\"heal\"", "\"heal\"", "\"look\""]);
    }

    #[test]
    fn nothing_at_rest_is_nothing_to_flip() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        assert_eq!(set(folder.path()).flip(NodeId(1), 1).unwrap(), None);
        assert!(
            set(folder.path()).tell(NodeId(1), Order::Look).unwrap_err().contains("not one of")
        );
    }
}
