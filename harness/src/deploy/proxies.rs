//! The proxies of a deployment, started as its system and its settings want them.
//!
//! What passes them, and what they hold back, is the business of `faults`; here it is only decided of which kind they
//! are, what holds for the whole run, and whether relays stand in front of them.

use super::DeployError;
use super::callers::{Finder, Running};
use super::homes::Homes;
use crate::system::Wiring;
use faults::message::Relays;
use faults::netns::Namespaces;
use faults::proxy::{Block, Callers, HubError};
use faults::{Hub, Link, Plan};
use history::NodeId;
use std::sync::Arc;

/// The proxies, and the homes of the nodes where each is known by one address: apart, or together if `shared`.
pub(super) fn start(
    wiring: &Wiring,
    nodes: &[NodeId],
    shared: bool,
    running: Running,
) -> Result<(Hub, Option<Homes>), DeployError> {
    let unstarted = |error: HubError| DeployError::Hub(error.to_string());
    let Wiring::OneAddress { peers, client, .. } = wiring else {
        return Ok((Hub::start(nodes).map_err(unstarted)?, None));
    };
    let ports = [peers.first().copied().unwrap_or(*client), *client];
    if shared {
        let refused = |error: std::io::Error| DeployError::Shared(error.to_string());
        let finder = Arc::new(Finder::start(running).map_err(refused)?);
        let callers: Arc<dyn Callers> = finder.clone();
        let block = Block::reserve().map_err(refused)?;
        let hub = Hub::start_shared(nodes, &block, peers, &callers).map_err(|error| {
            let why =
                "another program that listens at all addresses of this machine may be in the way";
            DeployError::Shared(format!("{error}; {why}"))
        })?;
        let homes = Homes::together(block, nodes, ports, finder).map_err(refused)?;
        return Ok((hub, Some(homes)));
    }
    let refused = |error: String| DeployError::Namespaces(error);
    let namespaces = Namespaces::start(nodes).map_err(|e| refused(e.to_string()))?;
    let hub = Hub::start_within(&namespaces, peers).map_err(unstarted)?;
    let homes = Homes::apart(Arc::new(namespaces), ports);
    Ok((hub, Some(homes.map_err(|e| refused(e.to_string()))?)))
}

/// Puts the network's standing plan into effect. The hub is asked on a runtime of its own, for the
/// caller may or may not be on one.
pub(super) fn slow_down(hub: &Hub, plan: Plan) -> Result<(), DeployError> {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(hub.set_base(plan)).map_err(|error| error.to_string())
    };
    let asked = std::thread::scope(|scope| scope.spawn(ask).join());
    match asked {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(reason)) => Err(DeployError::Hub(reason)),
        Err(_) => Err(DeployError::Hub("the thread that asks them panicked".to_owned())),
    }
}

/// A relay in front of every port on which nodes reach each other.
pub(super) fn relays(hub: &Hub, nodes: &[NodeId]) -> Result<Relays, DeployError> {
    let links = nodes.iter().flat_map(|&from| nodes.iter().map(move |&to| Link::new(from, to)));
    let ports = links.filter_map(|link| Some((link, hub.peer_address(link.from, link.to)?)));
    Relays::start(&ports.collect()).map_err(|error| DeployError::Hub(error.to_string()))
}
