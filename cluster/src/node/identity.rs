//! Who is behind an id: the number of a data directory, and those of the other members'.
//!
//! A node that lost its data directory comes back under its old id and has forgotten its votes and what it
//! acknowledged. To everybody else it looks like the node that promised all that, and with its help two leaders
//! could be elected in one term. So each data directory has an *identity*, drawn when it was made, which every
//! message between nodes carries. A member remembers, durably, the identity under which it first heard each other
//! member (each new connection begins with a greeting), and drops what comes with another one. The node is told, and ends when its own leader says so
//! (`notices`).
//!
//! An identity is forgotten when its id leaves the configuration, in the file too. Limits: a member that never heard
//! the old node believes the new one; one that got a snapshot over the time in which an id left and came back still
//! refuses the new node, and so does one that ended before the file said what was forgotten, so an id is best used
//! once; and while the disk is too full to write the file, what was heard or forgotten is known only until a restart.
//!
//! ```text
//! identity = "RAFTNODE" format:u32 count:u32 own:u64 (id:u64 identity:u64)* crc:u32      little-endian
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::NodeError;
use crate::log::warning;
use crate::raft::{Configuration, NodeId};
use crate::wal::{Disk, WalError};

const NAME: &str = "identity";
const TEMPORARY: &str = "identity.tmp";
const MAGIC: &[u8; 8] = b"RAFTNODE";
const FORMAT: u32 = 1;
/// Bytes before the pairs.
const HEAD: usize = 24;

/// The identities that a node knows; clones share them.
#[derive(Clone)]
pub(super) struct Identities {
    inner: Arc<Inner>,
}

struct Inner {
    own: u64,
    disk: Arc<dyn Disk>,
    known: Mutex<Known>,
    /// Held while the file is written.
    saving: Mutex<()>,
}

#[derive(Default)]
struct Known {
    members: BTreeSet<NodeId>,
    seen: BTreeMap<NodeId, u64>,
}

impl Identities {
    /// Reads what is in the data directory. One that has no identity yet gets one, durably.
    ///
    /// # Errors
    /// The disk refused, or the file is not as it was written.
    pub(super) fn open(disk: Arc<dyn Disk>) -> Result<Identities, NodeError> {
        let (own, seen) = if disk.names()?.iter().any(|name| name == NAME) {
            let damage = || WalError::Damaged {
                file: format!("{}/{NAME}", disk.place()),
                offset: 0,
                message: "it does not hold what was written there".to_owned(),
            };
            decode(&disk.read(NAME)?).ok_or_else(damage)?
        } else {
            let own = RandomState::new().hash_one(NAME).max(1);
            save(&*disk, own, &BTreeMap::new())?;
            (own, BTreeMap::new())
        };
        let known = Mutex::new(Known { members: BTreeSet::new(), seen });
        Ok(Identities { inner: Arc::new(Inner { own, disk, known, saving: Mutex::default() }) })
    }

    /// That of this node's data directory.
    pub(super) fn own(&self) -> u64 {
        self.inner.own
    }

    /// Another configuration is in force: who is no member is forgotten, and soon in the file too. If only memory
    /// forgot, a restart would bring the old identity back, and whoever got the id anew would be refused for good.
    pub(super) fn follow(&self, configuration: &Configuration) {
        let mut known = self.inner.known();
        known.members = configuration.members();
        let Known { members, seen } = &mut *known;
        let before = seen.len();
        seen.retain(|id, _| members.contains(id));
        if seen.len() < before {
            let inner = Arc::clone(&self.inner);
            // On another thread: whoever follows has heartbeats to send, and the disk may be slow.
            drop(tokio::task::spawn_blocking(move || inner.store()));
        }
    }

    /// Whether a message under this id with this identity is to be listened to. The first identity of a member is
    /// remembered, on another thread, before the answer.
    pub(super) async fn admits(&self, id: NodeId, identity: u64) -> bool {
        if let Some(answer) = self.inner.known().admits(id, identity) {
            return answer;
        }
        let inner = Arc::clone(&self.inner);
        let remembered = tokio::task::spawn_blocking(move || inner.remember(id, identity)).await;
        remembered.unwrap_or(false)
    }
}

impl Known {
    /// None for a member that is heard for the first time.
    fn admits(&self, id: NodeId, identity: u64) -> Option<bool> {
        match self.seen.get(&id) {
            Some(seen) => Some(*seen == identity),
            None if self.members.contains(&id) => None,
            // A node that this one does not know yet to be a member, or no more.
            None => Some(true),
        }
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, id: NodeId, identity: u64) -> bool {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = {
            let known = self.known();
            if let Some(answer) = known.admits(id, identity) {
                return answer;
            }
            known.seen.clone()
        };
        seen.insert(id, identity);
        if let Err(error) = save(&*self.disk, self.own, &seen) {
            warning!("until a restart only it is known who node {id} is: {error}");
        }
        {
            let mut known = self.known();
            // It may have left while the file was written, and then must not stay in it.
            if known.members.contains(&id) {
                known.seen.insert(id, identity);
                return true;
            }
        }
        self.write_known();
        true
    }

    /// Makes the file say what is known.
    fn store(&self) {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_known();
    }

    /// For whoever holds `saving`.
    fn write_known(&self) {
        let seen = self.known().seen.clone();
        if let Err(error) = save(&*self.disk, self.own, &seen) {
            warning!("until a restart only it is forgotten who is no member: {error}");
        }
    }
}

fn save(disk: &dyn Disk, own: u64, seen: &BTreeMap<NodeId, u64>) -> io::Result<()> {
    let mut file = disk.create_empty(TEMPORARY)?;
    file.write(0, &encode(own, seen))?;
    file.sync()?;
    disk.rename(TEMPORARY, NAME)?;
    disk.sync()
}

fn encode(own: u64, seen: &BTreeMap<NodeId, u64>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&(seen.len() as u32).to_le_bytes());
    let pairs = seen.iter().flat_map(|(id, identity)| [*id, *identity]);
    for number in std::iter::once(own).chain(pairs) {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(u64, BTreeMap<NodeId, u64>)> {
    let (covered, crc) = bytes.split_last_chunk()?;
    let head = covered.get(..HEAD)?;
    if crc32c::crc32c(covered) != u32::from_le_bytes(*crc)
        || &head[..8] != MAGIC
        || head[8..12] != FORMAT.to_le_bytes()
    {
        return None;
    }
    let numbers: Vec<u64> =
        covered[16..].as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
    let (own, pairs) = numbers.split_first()?;
    let is_whole = head[12..16] == (pairs.len() as u32 / 2).to_le_bytes()
        && covered.len() == HEAD + pairs.len() * 8;
    let seen = pairs.as_chunks().0.iter().map(|[id, identity]| (*id, *identity)).collect();
    is_whole.then_some((*own, seen))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::Memory;

    fn open(disk: &Memory) -> Identities {
        Identities::open(Arc::new(disk.clone())).unwrap()
    }

    #[tokio::test]
    async fn the_first_identity_of_a_member_is_remembered_through_a_power_cut() {
        let disk = Memory::new();
        let identities = open(&disk);
        let own = identities.own();
        identities.follow(&Configuration::of([1, 2, 3]));
        assert!(identities.admits(2, 77).await);
        assert!(identities.admits(2, 77).await && !identities.admits(2, 78).await);
        disk.crash();
        let identities = open(&disk);
        assert_eq!(identities.own(), own);
        identities.follow(&Configuration::of([1, 2, 3]));
        assert!(!identities.admits(2, 78).await && identities.admits(2, 77).await);
        assert!(identities.admits(3, 5).await && !identities.admits(3, 6).await);
        assert_ne!(open(&Memory::new()).own(), own, "another directory, another identity");
    }

    #[tokio::test]
    async fn who_is_no_member_is_believed_and_forgotten() {
        let disk = Memory::new();
        let identities = open(&disk);
        identities.follow(&Configuration::of([1, 2]));
        assert!(identities.admits(9, 1).await && identities.admits(9, 2).await);
        assert!(identities.admits(2, 77).await);
        identities.follow(&Configuration::of([1]));
        identities.follow(&Configuration::of([1, 2]));
        assert!(identities.admits(2, 78).await, "the id was free");
        assert!(!open(&disk).inner.known().admits(2, 77).unwrap());
    }

    /// Waits for another thread; five seconds at most, and what follows then says what is missing.
    async fn until(condition: impl Fn() -> bool) {
        for _ in 0..500 {
            if condition() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn what_was_forgotten_stays_so_through_a_restart() {
        let disk = Memory::new();
        let identities = open(&disk);
        identities.follow(&Configuration::of([1, 2]));
        assert!(identities.admits(2, 77).await);
        identities.follow(&Configuration::of([1]));
        identities.follow(&Configuration::of([1, 2]));
        // The new node has not greeted this one before it is started again.
        until(|| open(&disk).inner.known().seen.is_empty()).await;
        let identities = open(&disk);
        identities.follow(&Configuration::of([1, 2]));
        assert!(identities.admits(2, 78).await, "the old identity came back");
    }

    #[tokio::test]
    async fn who_leaves_while_it_is_remembered_is_forgotten() {
        let disk = Memory::new();
        let identities = open(&disk);
        identities.follow(&Configuration::of([1, 2]));
        disk.stall(true);
        let admitting = tokio::spawn({
            let identities = identities.clone();
            async move { identities.admits(2, 77).await }
        });
        let is_written = || disk.names().unwrap().iter().any(|name| name == TEMPORARY);
        until(is_written).await;
        assert!(is_written());
        identities.follow(&Configuration::of([1]));
        disk.stall(false);
        assert!(admitting.await.unwrap(), "who is no member is believed");
        assert!(identities.inner.known().seen.is_empty());
        assert!(open(&disk).inner.known().seen.is_empty());
    }

    #[tokio::test]
    async fn on_a_full_disk_what_was_heard_is_known_all_the_same() {
        let disk = Memory::new();
        crate::log::silence();
        let identities = open(&disk);
        identities.follow(&Configuration::of([1, 2]));
        disk.fill();
        assert!(identities.admits(2, 77).await && !identities.admits(2, 78).await);
    }

    #[test]
    fn a_file_with_any_bit_flipped_or_cut_anywhere_is_refused() {
        let whole = encode(7, &[(1, 2), (3, 4)].into());
        assert_eq!(decode(&whole), Some((7, [(1, 2), (3, 4)].into())));
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "{at}");
            assert_eq!(decode(&whole[..at]), None, "{at}");
        }
        let disk = Memory::new();
        disk.put(NAME, vec![0; 40]);
        let error = Identities::open(Arc::new(disk)).map(drop).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains("identity"), "{error}");
    }
}
