//! Addresses of the machine's loopback that one run has for itself, two for each node.
//!
//! All of `127.0.0.0/8` is loopback on Linux, so that nodes that share the machine's network can still have an address
//! each, and the same ports. A block is `127.A.B.*`, at which nodes are *known* and the hub listens in their place, and
//! `127.A.C.*` with C one more than B, at which they really listen. The last number is the node's in both.
//!
//! Invariants: a block belongs to one run at a time. It is reserved by a name in the kernel's abstract name space of
//! sockets, which is that of the network, so of the very network in which the addresses are; the name is gone with the
//! process.
//!
//! What it does not do: keep others from using such addresses. A program that listens at a port of all addresses is
//! in the way, and is found when a port of the block cannot be opened.

use history::NodeId;
use std::io;
use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// How many blocks are tried before it gives up: those of one A and those of the next.
const TRIES: u32 = 256;
/// The first A: beyond what people use by hand.
const FIRST: u8 = 128;
/// How many there are, with 128 pairs of B and C each.
const A_COUNT: u8 = 64;

/// A block that is reserved until this is dropped.
#[derive(Debug)]
pub struct Block {
    /// Of the addresses at which nodes are known.
    prefix: [u8; 3],
    _name: UnixListener,
}

impl Block {
    /// A block that nobody else has.
    ///
    /// # Errors
    /// Names cannot be had, or those of many blocks are taken.
    pub fn reserve() -> io::Result<Self> {
        // Different processes begin at different places; nothing depends on where.
        let begin = std::process::id().wrapping_mul(37);
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        // The lowest bit tells the two halves of a block apart.
        for number in (0..TRIES).map(|step| begin.wrapping_add(2 * step)) {
            let [low, high, ..] = number.to_le_bytes();
            let (a, b) = (FIRST + high % A_COUNT, low & !1);
            let prefix = [127, a, b];
            let name = format!("harness 127.{a}.{b}");
            match UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?) {
                Ok(name) => return Ok(Self { prefix, _name: name }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where peers call `node`; none for a number that no address ends with.
    #[must_use]
    pub fn known(&self, node: NodeId) -> Option<Ipv4Addr> {
        let [a, b, c] = self.prefix;
        Some(Ipv4Addr::new(a, b, c, last(node)?))
    }

    /// Where `node` listens itself; none for a number that no address ends with.
    #[must_use]
    pub fn own(&self, node: NodeId) -> Option<Ipv4Addr> {
        let [a, b, c] = self.prefix;
        Some(Ipv4Addr::new(a, b, c + 1, last(node)?))
    }
}

/// The node that this would be the address of, in whatever block.
#[must_use]
pub fn node_at(address: Ipv4Addr) -> Option<NodeId> {
    let [one, a, _, last] = address.octets();
    let is_one = one == 127 && (FIRST..FIRST + A_COUNT).contains(&a) && (1..=254).contains(&last);
    is_one.then(|| NodeId(last.into()))
}

fn last(node: NodeId) -> Option<u8> {
    u8::try_from(node.0).ok().filter(|last| (1..=254).contains(last))
}

#[cfg(test)]
mod tests {
    use super::{Block, node_at};
    use history::NodeId;
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    #[test]
    fn blocks_are_apart_and_come_back() {
        let blocks: Vec<Block> = (0..5).map(|_| Block::reserve().unwrap()).collect();
        let of = |block: &Block| [block.known(NodeId(7)).unwrap(), block.own(NodeId(7)).unwrap()];
        let all: BTreeSet<_> = blocks.iter().flat_map(of).collect();
        assert_eq!(all.len(), 10, "{all:?}");
        for address in &all {
            assert!(address.is_loopback() && node_at(*address) == Some(NodeId(7)), "{address}");
            TcpListener::bind((*address, 0)).unwrap();
        }
        assert!([0, 255, 256].map(NodeId).iter().all(|&node| blocks[0].known(node).is_none()));
        for other in ["127.0.0.1", "10.77.0.1", "127.128.0.255", "127.192.0.1"] {
            assert_eq!(node_at(other.parse().unwrap()), None, "{other}");
        }
        let first = of(&blocks[0]);
        drop(blocks);
        assert_eq!(of(&Block::reserve().unwrap()), first, "it is free again");
    }
}
