//! Bytes of a configuration, in the log on disk and in the head of a snapshot.
//!
//! ```text
//! configuration = set(voters) set(outgoing) set(learners) count:u32 (id:u64 length:u32 address)*
//! set           = count:u32 id:u64*
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::raft::{Configuration, NodeId};

/// A configuration as bytes.
pub(crate) fn encode(configuration: &Configuration) -> Vec<u8> {
    let Configuration { voters, outgoing, learners, addresses } = configuration;
    let mut bytes = Vec::new();
    for set in [voters, outgoing, learners] {
        bytes.extend_from_slice(&(set.len() as u32).to_le_bytes());
        set.iter().for_each(|id| bytes.extend_from_slice(&id.to_le_bytes()));
    }
    bytes.extend_from_slice(&(addresses.len() as u32).to_le_bytes());
    for (id, address) in addresses {
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&(address.len() as u32).to_le_bytes());
        bytes.extend_from_slice(address.as_bytes());
    }
    bytes
}

/// The configuration in `bytes`, if they are one, whole.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Configuration> {
    let [voters, outgoing, learners] =
        [take_set(&mut bytes)?, take_set(&mut bytes)?, take_set(&mut bytes)?];
    let mut addresses: BTreeMap<NodeId, Arc<str>> = BTreeMap::new();
    for _ in 0..take_u32(&mut bytes)? {
        let id = take_u64(&mut bytes)?;
        let length = take_u32(&mut bytes)? as usize;
        let address = std::str::from_utf8(bytes.get(..length)?).ok()?;
        addresses.insert(id, address.into());
        bytes = &bytes[length..];
    }
    bytes.is_empty().then_some(Configuration { voters, outgoing, learners, addresses })
}

fn take_set(bytes: &mut &[u8]) -> Option<BTreeSet<NodeId>> {
    // Ends at the first number that is not there, so a false count costs nothing.
    (0..take_u32(bytes)?).map(|_| take_u64(bytes)).collect()
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*first))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_and_nothing_else_passes_for_one() {
        let configuration = Configuration {
            voters: [1, 2, 4].into(),
            outgoing: [1, 2, 3].into(),
            learners: [9].into(),
            addresses: [(4, "127.0.0.1:7004".into()), (9, "".into())].into(),
        };
        let bytes = encode(&configuration);
        assert_eq!(decode(&bytes), Some(configuration));
        assert!((0..bytes.len()).all(|end| decode(&bytes[..end]).is_none()));
        assert_eq!(decode(&[bytes, vec![0]].concat()), None);
        assert_eq!(decode(&[255; 12]), None, "a count without its numbers");
    }
}
