//! The state machine as bytes and back: what a snapshot holds.
//!
//! ```text
//! block  = record+                       at most 64 KiB, or one record
//! record = 1 applied:u64 evicted:u64                            the first one
//!        | 2 key value                                          in order of keys
//!        | 3 session:u64 used:u64 floor:u64 count:u32 answer*   in order of sessions
//! answer = sequence:u64 kind:u8 [opened:u64]
//! key, value = length:u32 bytes
//! ```
//!
//! Everything that a later command may look at is here, the session table among it: without the table a
//! command retried after a restore would take effect twice. The order in which sessions are evicted follows
//! from `used`, so it is not stored. Nothing here guards against damage; that is the file's business. But
//! bytes that no export could have written are refused, not guessed at.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use imbl::OrdMap;

use super::sessions::{Session, Sessions};
use super::{Answer, Store};
use crate::bug::{Bug, Bugs};

/// Size at which a block is full.
const BLOCK: usize = 64 << 10;
/// Largest block: full but for a byte when the largest record comes.
pub const BLOCK_MAX: usize = BLOCK + (2 << 20);

impl Store {
    /// The blocks of this state, one at a time.
    pub fn export(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let sessions = (!self.bugs.has(Bug::SnapshotDropsSessions)).then_some(&self.sessions.table);
        let mut head = vec![1];
        head.extend_from_slice(&self.applied.to_le_bytes());
        head.extend_from_slice(&self.sessions.evicted.to_le_bytes());
        let pairs = self.map.iter().map(|(key, value)| pair(key, value));
        let sessions = sessions.into_iter().flatten().map(|(id, session)| record(*id, session));
        Blocks(std::iter::once(head).chain(pairs).chain(sessions))
    }

    /// The state that was exported into these blocks.
    ///
    /// # Errors
    /// The blocks cannot be read, or are not what [`Store::export`] writes.
    pub fn import(
        bugs: Bugs,
        blocks: impl Iterator<Item = io::Result<Vec<u8>>>,
    ) -> io::Result<Store> {
        let mut import = Import::default();
        for block in blocks {
            let block = block?;
            let mut rest = &block[..];
            while !rest.is_empty() {
                import.record(&mut rest).ok_or_else(|| {
                    io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a record of the state makes no sense",
                    )
                })?;
            }
        }
        let Import { head, map, table } = import;
        let nothing = || io::Error::new(io::ErrorKind::InvalidData, "the state has no beginning");
        let (applied, evicted) = head.ok_or_else(nothing)?;
        let by_use = table.iter().map(|(id, session)| (session.used, *id)).collect();
        let sessions = Sessions { table, by_use, evicted };
        Ok(Store { map, sessions, applied, bugs, marks: Vec::new() })
    }
}

/// Packs records into blocks.
struct Blocks<I>(I);

impl<I: Iterator<Item = Vec<u8>>> Iterator for Blocks<I> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut block = self.0.next()?;
        // A block may end a record late, so that no record has to be put back.
        while block.len() < BLOCK
            && let Some(record) = self.0.next()
        {
            block.extend_from_slice(&record);
        }
        Some(block)
    }
}

fn pair(key: &Bytes, value: &Bytes) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + key.len() + value.len());
    bytes.push(2);
    for field in [key, value] {
        bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

fn record(id: u64, session: &Session) -> Vec<u8> {
    let mut bytes = vec![3];
    for number in [id, session.used, session.floor] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&(session.answers.len() as u32).to_le_bytes());
    for (sequence, answer) in &session.answers {
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.push(match answer {
            Answer::Done => 1,
            Answer::Swapped => 2,
            Answer::Mismatch => 3,
            Answer::Opened(_) => 4,
            Answer::SessionExpired => 5,
            Answer::SessionStale => 6,
            Answer::Malformed => 7,
        });
        if let Answer::Opened(session) = answer {
            bytes.extend_from_slice(&session.to_le_bytes());
        }
    }
    bytes
}

/// A state in the making.
#[derive(Default)]
struct Import {
    head: Option<(u64, u64)>,
    map: OrdMap<Bytes, Bytes>,
    table: OrdMap<u64, Session>,
}

impl Import {
    /// Takes one record off the front of `rest`.
    fn record(&mut self, rest: &mut &[u8]) -> Option<()> {
        let [kind] = take(rest)?;
        if (kind == 1) != self.head.is_none() {
            return None;
        }
        match kind {
            1 => self.head = Some((number(rest)?, number(rest)?)),
            2 => {
                let (key, value) = (field(rest)?, field(rest)?);
                self.map.insert(key, value).is_none().then_some(())?;
            }
            3 => {
                let id = number(rest)?;
                let (used, floor) = (number(rest)?, number(rest)?);
                let count = u32::from_le_bytes(take(rest)?);
                let mut answers = BTreeMap::new();
                for _ in 0..count {
                    let sequence = number(rest)?;
                    answers.insert(sequence, answer(rest)?);
                }
                let session = Session { used, floor, answers };
                self.table.insert(id, session).is_none().then_some(())?;
            }
            _ => return None,
        }
        Some(())
    }
}

fn answer(rest: &mut &[u8]) -> Option<Answer> {
    let [kind] = take(rest)?;
    Some(match kind {
        1 => Answer::Done,
        2 => Answer::Swapped,
        3 => Answer::Mismatch,
        4 => Answer::Opened(number(rest)?),
        5 => Answer::SessionExpired,
        6 => Answer::SessionStale,
        7 => Answer::Malformed,
        _ => return None,
    })
}

/// Copied out of the block: a small value must not keep its whole block in memory once others are gone.
fn field(rest: &mut &[u8]) -> Option<Bytes> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let (field, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(Bytes::copy_from_slice(field))
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    use super::*;
    use crate::kv::{Action, Command};

    /// A random command; sessions are opened, used in and out of order, and acknowledged.
    fn command(random: &mut ChaCha8Rng, applied: u64) -> Command {
        let mut below = |bound: u64| random.next_u64() % bound;
        let key = Bytes::from(format!("key-{}", below(40)));
        let value = Bytes::from(vec![below(256) as u8; below(9000) as usize]);
        let action = match below(6) {
            0 => Action::OpenSession,
            1 => Action::Delete { key },
            2 => Action::Cas { key, from: None, to: value, decided: false },
            _ => Action::Write { key, value },
        };
        let sequence = 1 + below(50);
        let acknowledged = below(3).min(1) * below(sequence);
        Command { session: below(applied + 1), sequence, acknowledged, action }
    }

    fn run(seed: u64, commands: u64) -> Store {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut store = Store::new(Bugs::NONE);
        for index in 1..=commands {
            store.apply(index, &command(&mut random, index).encode());
        }
        store
    }

    fn copy(store: &Store) -> Store {
        Store::import(Bugs::NONE, store.export().map(Ok)).unwrap()
    }

    fn parts(store: &Store) -> (&OrdMap<Bytes, Bytes>, &Sessions, u64) {
        (&store.map, &store.sessions, store.applied)
    }

    #[test]
    fn a_state_survives_and_goes_on_as_if_nothing_had_happened() {
        for seed in 0..40 {
            let mut store = run(seed, seed * 20);
            let mut copied = copy(&store);
            assert_eq!(parts(&copied), parts(&store), "seed {seed}");
            let mut random = ChaCha8Rng::seed_from_u64(!seed);
            for index in store.applied + 1..store.applied + 200 {
                let command = command(&mut random, index).encode();
                assert_eq!(copied.apply(index, &command), store.apply(index, &command));
            }
            assert_eq!(parts(&copied), parts(&store), "seed {seed}");
        }
    }

    #[test]
    fn blocks_are_bounded_and_there_are_several() {
        let store = run(1, 900);
        let sizes: Vec<usize> = store.export().map(|block| block.len()).collect();
        assert!(sizes.len() > 1 && sizes.iter().all(|size| *size <= BLOCK_MAX), "{sizes:?}");
        let most = crate::node::KEY_MAX + crate::node::VALUE_MAX + crate::kv::sessions::WINDOW * 17;
        assert!(BLOCK + most + 64 <= BLOCK_MAX, "the largest record fits");
    }

    #[test]
    fn what_no_export_writes_is_refused() {
        let import = |blocks: Vec<Vec<u8>>| Store::import(Bugs::NONE, blocks.into_iter().map(Ok));
        let whole: Vec<u8> = run(3, 100).export().flatten().collect();
        assert!(import(vec![whole.clone()]).is_ok());
        assert!(import(vec![]).is_err(), "no beginning");
        assert!(import(vec![whole.clone(), whole.clone()]).is_err(), "two beginnings");
        assert!(import(vec![whole[17..].to_vec()]).is_err(), "an end without a beginning");
        let ends = (1..400).filter(|end| import(vec![whole[..*end].to_vec()]).is_ok()).count();
        assert!(ends < 10, "only between records: {ends}");
        assert!(import(vec![whole[..17].to_vec(), vec![9]]).is_err(), "an unknown record");
    }

    #[test]
    fn with_the_bug_snapshot_drops_sessions_the_session_of_a_retry_is_gone_after_a_restore() {
        let write = |text: &'static str, session| {
            let (key, value) = (Bytes::from_static(b"k"), Bytes::from_static(text.as_bytes()));
            let action = Action::Write { key, value };
            Command { session, sequence: 1, acknowledged: 0, action }.encode()
        };
        for (bug, answer) in [
            (Bugs::NONE, Answer::Done),
            (Bug::SnapshotDropsSessions.into(), Answer::SessionExpired),
        ] {
            let mut store = Store::new(bug);
            store.sessions.open(1);
            store.apply(2, &write("first", 1));
            store.apply(3, &write("second", 0));
            let mut copied = Store::import(bug, store.export().map(Ok)).unwrap();
            let retried = copied.apply(4, &write("first", 1));
            assert_eq!(retried.answer, answer);
            assert_eq!(retried.replayed, bug.is_empty());
            store.apply(4, &write("first", 1));
            assert_eq!(parts(&copied) == parts(&store), bug.is_empty());
        }
    }
}
