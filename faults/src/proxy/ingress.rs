//! How the hub knows who is calling: the ports it opens, for whom each is, and how it goes on from there.
//!
//! | | a port for each | who is called | dials from |
//! |---|---|---|---|
//! | [`Ingress::loopback`] | pair of nodes, on loopback; each node is told other addresses of its peers | by the port | here, where the node said it listens |
//! | [`Ingress::within`] | pair, and port of a node, in the caller's namespace | by the address | the target's namespace, as the caller, to the address called |
//! | [`Ingress::shared`] | port of a node, at the address of loopback by which all know it | by the address | here, as the caller, to the same port where the node listens |
//!
//! In the last of these who calls is asked of [`Callers`], and may be the node itself. Clients are in the network of this
//! process in any case, and have a port for each node on its loopback. A node with an address of its own
//! sees them come from `127.0.0.1`, which is no node's address.

use super::block::Block;
use super::callers::Callers;
use super::port::{self, Caller, Gate, Open, Users};
use super::route::{Aim, Place, Route};
use crate::link::Link;
use crate::netns::{self, Namespaces};
use history::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

/// The address every port of this process's own network is bound to: any number.
const LOOPBACK: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);

/// Open ports, and the addresses by which they are known.
#[derive(Default)]
pub(super) struct Ingress {
    pub(super) nodes: Vec<NodeId>,
    pub(super) ports: Vec<Gate>,
    pub(super) peers: BTreeMap<Link, SocketAddr>,
    pub(super) clients: BTreeMap<NodeId, SocketAddr>,
}

impl Ingress {
    /// A port of the system's choice for each pair of nodes.
    pub(super) fn loopback(nodes: &[NodeId]) -> io::Result<Self> {
        let mut ingress = Self { nodes: nodes.to_vec(), ..Self::default() };
        for &target in nodes {
            let from_here = |aim| Route { aim, place: Place::Here, source: None };
            ingress.open_for_clients(target, from_here(Aim::Clients))?;
            for &dialler in nodes.iter().filter(|&&dialler| dialler != target) {
                let open = port::open(Place::Here, LOOPBACK)?;
                ingress.peers.insert(Link::new(dialler, target), open.address.into());
                let caller = Caller { target, dialler: Some(dialler) };
                ingress.push(open, caller, from_here(Aim::Peers));
            }
        }
        Ok(ingress)
    }

    /// In each node's namespace, these ports of every other node.
    pub(super) fn within(namespaces: &Namespaces, numbers: &BTreeSet<u16>) -> io::Result<Self> {
        check_numbers(numbers)?;
        let nodes: Vec<NodeId> = namespaces.nodes().collect();
        let mut ingress = Self { nodes: nodes.clone(), ..Self::default() };
        let place = |node| {
            let room = namespaces.room(node).map(Arc::clone);
            room.map(Place::Room).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        for &target in &nodes {
            let route = |aim, source| {
                Ok::<_, io::Error>(Route { aim, place: place(target)?, source: Some(source) })
            };
            ingress.open_for_clients(target, route(Aim::Clients, Ipv4Addr::LOCALHOST)?)?;
            for &dialler in nodes.iter().filter(|&&dialler| dialler != target) {
                for &number in numbers {
                    let called = SocketAddrV4::new(netns::address(target), number);
                    let open = port::open(place(dialler)?, called)?;
                    ingress.peers.entry(Link::new(dialler, target)).or_insert(called.into());
                    let caller = Caller { target, dialler: Some(dialler) };
                    let route = route(Aim::Fixed(called), netns::address(dialler))?;
                    ingress.push(open, caller, route);
                }
            }
        }
        Ok(ingress)
    }

    /// These ports of every node, at the address by which all know it.
    pub(super) fn shared(
        nodes: &[NodeId],
        block: &Block,
        numbers: &BTreeSet<u16>,
        callers: &Arc<dyn Callers>,
    ) -> io::Result<Self> {
        check_numbers(numbers)?;
        let mut ingress = Self { nodes: nodes.to_vec(), ..Self::default() };
        let of = |address: Option<Ipv4Addr>| {
            let why = "a node's number has to be 1 to 254 to be the end of its address";
            address.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, why))
        };
        for &target in nodes {
            let route = |aim, source| Route { aim, place: Place::Here, source };
            ingress.open_for_clients(target, route(Aim::Clients, None))?;
            let (known, own) = (of(block.known(target))?, of(block.own(target))?);
            for &number in numbers {
                let open = port::open(Place::Here, SocketAddrV4::new(known, number))?;
                let aim = Aim::Fixed(SocketAddrV4::new(own, number));
                let users = nodes.iter().map(|&dialler| {
                    let caller = Caller { target, dialler: Some(dialler) };
                    Ok((caller, route(aim, Some(of(block.known(dialler))?))))
                });
                let users = Users::Many(users.collect::<io::Result<_>>()?, Arc::clone(callers));
                for &dialler in nodes.iter().filter(|&&dialler| dialler != target) {
                    let link = Link::new(dialler, target);
                    ingress.peers.entry(link).or_insert(open.address.into());
                }
                ingress.ports.push(Gate { open, users });
            }
        }
        Ok(ingress)
    }

    fn push(&mut self, open: Open, caller: Caller, route: Route) {
        self.ports.push(Gate { open, users: Users::One(caller, route) });
    }

    fn open_for_clients(&mut self, target: NodeId, route: Route) -> io::Result<()> {
        let open = port::open(Place::Here, LOOPBACK)?;
        self.clients.insert(target, open.address.into());
        self.push(open, Caller { target, dialler: None }, route);
        Ok(())
    }
}

fn check_numbers(numbers: &BTreeSet<u16>) -> io::Result<()> {
    if numbers.is_empty() || numbers.contains(&0) {
        let why = "peers need a port to call each other at, and 0 is none";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(())
}
