//! The disks under the nodes, from the harness's side: their orders, the independent look at what they hold, and the
//! bits that are flipped in files.
//!
//! Mounts are seen only in the guardian's namespace. The kernel shows that to others under `/proc/PID/root`, which is
//! how a file is read here the way a node reads it.
//!
//! Every order waits for its answer, with a limit. Without mounts a node's files are plain files: bits can be flipped in
//! them, and nothing else.

use super::NodePaths;
use crate::disk::{Wanted, mount};
use faults::Random;
use faults::disk::{Answer, Flipped, Image, Order, Promises};
use history::NodeId;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
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
    lines: BTreeMap<NodeId, Mutex<BufReader<UnixStream>>>,
    /// Each node's data folder, as it can be read from here.
    folders: BTreeMap<NodeId, PathBuf>,
    /// What was flipped and not turned back.
    flipped: Mutex<BTreeMap<NodeId, Flipped>>,
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
            let mut line = BufReader::new(line);
            hear(&mut line).map_err(|why| format!("the disk of {node}: {why}"))?;
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
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = serde_json::to_vec(&order).map_err(|error| fail(error.to_string()))?;
        text.push(b'\n');
        line.get_mut().write_all(&text).map_err(|error| fail(error.to_string()))?;
        let mut answer = hear(&mut line).map_err(fail)?;
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

    /// Heals every disk; what it answers is of no interest.
    pub(super) fn release(&self) {
        for node in self.lines.keys() {
            let _ = self.tell(*node, Order::Heal);
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
            put(&folder.join(&file), place as u64, bytes[place] ^ (1 << bit))?;
            let flipped = Flipped { file, offset: place as u64, bit };
            let mut all = self.flipped.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(node, flipped.clone());
            return Ok(Some(flipped));
        }
        Ok(None)
    }

    /// Turns back what was flipped there, unless its file is gone or shorter: nothing is read from it then.
    pub(super) fn flip_back(&self, node: NodeId) -> std::io::Result<bool> {
        let flipped = self.flipped.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
        let (Some(Flipped { file, offset, bit }), Some(folder)) =
            (flipped, self.folders.get(&node))
        else {
            return Ok(false);
        };
        let path = folder.join(file);
        let Ok(bytes) = std::fs::read(&path) else { return Ok(false) };
        let Some(byte) = usize::try_from(offset).ok().and_then(|place| bytes.get(place)) else {
            return Ok(false);
        };
        put(&path, offset, byte ^ (1 << bit))?;
        Ok(true)
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

fn hear(line: &mut BufReader<UnixStream>) -> Result<Answer, String> {
    let mut text = String::new();
    match line.read_line(&mut text) {
        Ok(0) => Err("it is gone".to_owned()),
        Ok(_) => serde_json::from_str::<Result<Answer, String>>(&text)
            .unwrap_or_else(|error| Err(error.to_string())),
        Err(error) => Err(format!("no answer: {error}")),
    }
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
