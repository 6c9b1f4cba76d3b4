//! What a committed entry asks of the state machine, and its bytes.
//!
//! ```text
//! command = kind:u8 session:u64 sequence:u64 acknowledged:u64 field*
//! field   = length:u32 bytes
//! kind    = 1 write key value | 2 delete key | 3 cas key from to | 4 cas key to (from: no such key)
//!         | 5, 6 the same, decided already (a deliberate bug) | 7 open a session
//! ```
//!
//! Numbers are little-endian. The bytes are what the log keeps, so a kind never changes its meaning.

use std::sync::Arc;

use bytes::Bytes;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The client's session; 0 for none.
    pub session: u64,
    /// The number of the operation in its session.
    pub sequence: u64,
    /// The client has the answers up to this sequence.
    pub acknowledged: u64,
    /// What to do.
    pub action: Action,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sets the value of a key.
    Write {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// Removes a key.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Sets the value of a key if it has the value `from`.
    Cas {
        /// The key.
        key: Bytes,
        /// The value it must have; none: the key must not exist.
        from: Option<Bytes>,
        /// Its new value.
        to: Bytes,
        /// The guard was checked when the command was proposed, and is not to be checked again: only
        /// with [`Bug::CasAtLeader`](crate::bug::Bug::CasAtLeader).
        decided: bool,
    },
    /// Opens a session, whose number is the index of the entry.
    OpenSession,
}

impl Command {
    /// The bytes for the log.
    pub fn encode(&self) -> Arc<[u8]> {
        let (kind, fields): (u8, [Option<&Bytes>; 3]) = match &self.action {
            Action::Write { key, value } => (1, [Some(key), Some(value), None]),
            Action::Delete { key } => (2, [Some(key), None, None]),
            Action::Cas { key, from: Some(from), to, decided } => {
                (if *decided { 5 } else { 3 }, [Some(key), Some(from), Some(to)])
            }
            Action::Cas { key, from: None, to, decided } => {
                (if *decided { 6 } else { 4 }, [Some(key), Some(to), None])
            }
            Action::OpenSession => (7, [None; 3]),
        };
        let size = fields.iter().flatten().map(|field| 4 + field.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(25 + size);
        bytes.push(kind);
        for number in [self.session, self.sequence, self.acknowledged] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for field in fields.into_iter().flatten() {
            bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
            bytes.extend_from_slice(field);
        }
        Arc::from(bytes)
    }

    /// Reads the bytes of [`Command::encode`]; `None` for anything else.
    pub fn decode(mut bytes: &[u8]) -> Option<Command> {
        let input = &mut bytes;
        let [kind] = take(input)?;
        let [session, sequence, acknowledged] =
            [take(input)?, take(input)?, take(input)?].map(u64::from_le_bytes);
        let action = match kind {
            1 => Action::Write { key: field(input)?, value: field(input)? },
            2 => Action::Delete { key: field(input)? },
            3 | 5 => Action::Cas {
                key: field(input)?,
                from: Some(field(input)?),
                to: field(input)?,
                decided: kind == 5,
            },
            4 | 6 => Action::Cas {
                key: field(input)?,
                from: None,
                to: field(input)?,
                decided: kind == 6,
            },
            7 => Action::OpenSession,
            _ => return None,
        };
        input.is_empty().then_some(Command { session, sequence, acknowledged, action })
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*first)
}

fn field(input: &mut &[u8]) -> Option<Bytes> {
    let length = u32::from_le_bytes(take(input)?) as usize;
    let (field, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(Bytes::copy_from_slice(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_read_back_and_no_shorter_one_is() {
        let bytes = Bytes::from_static;
        let (key, from, to) = (bytes(b"k"), Some(bytes(b"")), bytes(b"value"));
        let actions = [
            Action::Write { key: key.clone(), value: to.clone() },
            Action::Delete { key: key.clone() },
            Action::Cas { key: key.clone(), from: from.clone(), to: to.clone(), decided: false },
            Action::Cas { key: key.clone(), from: None, to: to.clone(), decided: false },
            Action::Cas { key: key.clone(), from, to: to.clone(), decided: true },
            Action::Cas { key, from: None, to, decided: true },
            Action::OpenSession,
        ];
        for action in actions {
            let command = Command { session: 7, sequence: u64::MAX, acknowledged: 3, action };
            let bytes = command.encode();
            assert_eq!(Command::decode(&bytes), Some(command));
            for length in 0..bytes.len() {
                assert_eq!(Command::decode(&bytes[..length]), None);
            }
        }
    }
}
