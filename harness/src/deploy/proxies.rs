//! The proxies of a deployment, started as its system and its settings want them.
//!
//! What passes them, and what they hold back, is the business of `faults`; here it is only decided of which kind they
//! are, what holds for the whole run, and whether relays stand in front of them.

use super::DeployError;
use super::homes::Homes;
use crate::system::Wiring;
use faults::message::Relays;
use faults::netns::Namespaces;
use faults::proxy::HubError;
use faults::{Hub, Link, Plan};
use history::NodeId;
use std::sync::Arc;

/// The proxies, and the namespaces they reach into where the system needs them.
pub(super) fn start(
    wiring: &Wiring,
    nodes: &[NodeId],
) -> Result<(Hub, Option<Homes>), DeployError> {
    let unstarted = |error: HubError| DeployError::Hub(error.to_string());
    match wiring {
        Wiring::Pairs => Ok((Hub::start(nodes).map_err(unstarted)?, None)),
        Wiring::Namespaces { peers, client } => {
            let refused = |error: String| DeployError::Namespaces(error);
            let namespaces = Namespaces::start(nodes).map_err(|e| refused(e.to_string()))?;
            let hub = Hub::start_within(&namespaces, peers).map_err(unstarted)?;
            let ports = [peers.first().copied().unwrap_or(*client), *client];
            let homes = Homes::open(Arc::new(namespaces), ports);
            Ok((hub, Some(homes.map_err(|e| refused(e.to_string()))?)))
        }
    }
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
