//! Where each message goes: from the node to a peer or a client, and from those to the node.
//!
//! Nothing here waits: whatever cannot go on at once lies in a bounded queue. A line that is no message is told and passed
//! over, and the next one is read as if nothing had been. A client that has gone is no mistake of who answers it late, and
//! neither is one that a node knows from an earlier life.
//!
//! A node may pass a message on under the name of who sent it: a client's request to the leader, who answers that client
//! then, wherever it calls. Only to itself it speaks as itself. What it sends there under another name is told and not
//! carried: else a program that writes back what it reads would be given its own words again and again, as fast as the
//! machine can.

use super::log::Log;
use super::message::{Addressee, INITIATOR, Message, addressee, check_answer, client, compose};
use super::queue::Queue;
use super::topology::{self, Next, Topology};
use crate::system::maelstrom::line::Piece;
use crate::system::maelstrom::words;
use history::NodeId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One node's place in the network.
#[derive(Debug)]
pub(super) struct Switch {
    /// The number of this node, and how many there are.
    own: u16,
    nodes: u16,
    log: Arc<Log>,
    /// On its way to the node.
    to_node: Arc<Queue>,
    /// On its way to each other node, by its number.
    to_peers: BTreeMap<u16, Arc<Queue>>,
    /// On its way to each client that calls here, by its number.
    to_clients: Mutex<BTreeMap<u64, Arc<Queue>>>,
    /// On its way to the services.
    to_services: Arc<Queue>,
    /// What the node answers to who asks it to begin.
    to_initiator: Arc<Queue>,
    topology: Mutex<Topology>,
    clients: AtomicU64,
    messages: AtomicU64,
}

impl Switch {
    /// A network of so many nodes, of which this is `own`.
    pub(super) fn new(own: u16, nodes: u16, log: Arc<Log>) -> Arc<Self> {
        let queue = |name: String| Queue::new(name, Arc::clone(&log));
        let peers = (1..=nodes).filter(|node| *node != own);
        Arc::new(Self {
            own,
            nodes,
            to_node: queue("the node itself".to_owned()),
            to_peers: peers.map(|node| (node, queue(format!("n{node}")))).collect(),
            to_clients: Mutex::default(),
            to_services: queue("the services".to_owned()),
            to_initiator: queue(INITIATOR.to_owned()),
            topology: Mutex::default(),
            clients: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            log,
        })
    }

    /// What is to be written to the node.
    pub(super) fn to_node(&self) -> Arc<Queue> {
        Arc::clone(&self.to_node)
    }

    /// What is to be written to another node.
    pub(super) fn to_peer(&self, node: u16) -> Option<Arc<Queue>> {
        self.to_peers.get(&node).cloned()
    }

    /// What is to be written to the services.
    pub(super) fn to_services(&self) -> Arc<Queue> {
        Arc::clone(&self.to_services)
    }

    /// What the node answers to the first thing that it is asked.
    pub(super) fn to_initiator(&self) -> Arc<Queue> {
        Arc::clone(&self.to_initiator)
    }

    /// Where things are told.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Asks the node to begin.
    pub(super) fn initiate(&self) {
        let names: Vec<String> = (1..=self.nodes).map(|node| format!("n{node}")).collect();
        let own = format!("n{}", self.own);
        let body = json!({"type": "init", "msg_id": 1, "node_id": own, "node_ids": names});
        self.tell_node(INITIATOR, &body.to_string());
    }

    /// The node has begun, so it may be told more.
    pub(super) fn begun(&self) {
        let next = self.topology_now().begin();
        self.introduce(&next);
    }

    /// A client wants the node to have been told its neighbours, and hears of it.
    pub(super) fn client_introduces(&self, client: u64) {
        let (next, answer) = {
            let mut topology = self.topology_now();
            (topology.want(), topology.ask(client))
        };
        self.introduce(&next);
        if let (Some(answer), Some(queue)) = (answer, self.clients_now().get(&client)) {
            queue.push(answer.into_bytes());
        }
    }

    fn introduce(&self, next: &Next) {
        if next.spread {
            for queue in self.to_peers.values() {
                queue.push(topology::WORD.as_bytes().to_vec());
            }
        }
        if next.tell {
            let nodes: Vec<NodeId> = (1..=self.nodes).map(NodeId).collect();
            let mut body = words::topology(&nodes);
            body["msg_id"] = json!(topology::NUMBER);
            self.tell_node(INITIATOR, &body.to_string());
        }
    }

    /// A client calls: its number, and what is to be written to it.
    pub(super) fn admit(&self) -> (u64, Arc<Queue>) {
        let number = client(self.clients.fetch_add(1, Relaxed) + 1, self.own, self.nodes);
        let queue = Queue::new(format!("c{number}"), Arc::clone(&self.log));
        self.clients_now().insert(number, Arc::clone(&queue));
        (number, queue)
    }

    /// A client has gone.
    pub(super) fn dismiss(&self, client: u64) {
        self.clients_now().remove(&client);
        self.topology_now().dismiss(client);
    }

    /// A client asks; `body` is JSON, for it comes from the harness.
    pub(super) fn client_asks(&self, client: u64, body: &str) {
        self.tell_node(&format!("c{client}"), body);
    }

    /// Another bridge passes a line on, which was a message there.
    pub(super) fn peer_says(&self, line: &[u8]) {
        if line == topology::WORD.as_bytes() {
            let next = self.topology_now().want();
            return self.introduce(&next);
        }
        let Ok(message) = Message::parse(line) else { return };
        match addressee(&message.dest, self.nodes) {
            Addressee::Node(node) if node == self.own => self.deliver(message),
            Addressee::Client(client, node) if node == self.own => self.answer(client, message),
            // Nobody sends that here, and nothing is passed on twice.
            _ => {}
        }
    }

    /// A service answers.
    pub(super) fn service_says(&self, line: &[u8]) {
        let Ok(message) = Message::parse(line) else { return };
        // Whoever was named as the one who asks.
        match addressee(&message.dest, self.nodes) {
            Addressee::Node(node) if node == self.own => self.deliver(message),
            Addressee::Node(node) => self.pass_on(node, message),
            Addressee::Client(client, node) => self.to_client(client, node, message),
            _ => {}
        }
    }

    /// The node wrote something.
    pub(super) fn node_writes(&self, piece: &Piece) {
        let line = match piece {
            Piece::Whole(line) => line,
            Piece::TooLong(beginning) => {
                return self.log.too_long(beginning);
            }
        };
        if let Err(why) = self.route(line) {
            self.log.broken(&why, line);
        }
    }

    /// What the node wrote last has no end.
    pub(super) fn node_broke_off(&self, line: &[u8]) {
        self.log.broken("its last line has no end", line);
    }

    fn route(&self, line: &[u8]) -> Result<(), String> {
        let message = Message::parse(line)?;
        let src = addressee(&message.src, self.nodes);
        if src == Addressee::Nobody {
            return Err(format!("it is sent as `{}`, which is nobody", message.src));
        }
        match addressee(&message.dest, self.nodes) {
            Addressee::Node(node) if node == self.own => {
                if src != Addressee::Node(self.own) {
                    let (own, src) = (self.own, &message.src);
                    return Err(format!(
                        "it is sent as `{src}` to n{own}, and that is this node itself"
                    ));
                }
                self.deliver(message);
            }
            Addressee::Node(node) => self.pass_on(node, message),
            Addressee::Client(client, node) => {
                // A mistake is told, and the answer goes on: who asked may make something of it.
                let checked = message.body().and_then(|body| check_answer(&body));
                self.to_client(client, node, message);
                checked?;
            }
            Addressee::Initiator => {
                let body = message.body()?;
                if self.introduced(&body) {
                    check_answer(&body)?;
                } else {
                    self.to_initiator.push(body.to_string().into_bytes());
                }
            }
            Addressee::Service => self.to_services.push(message.into_line()),
            Addressee::Nobody => {
                let (dest, last) = (&message.dest, self.nodes);
                return Err(format!("`{dest}` is nobody: the nodes are n1 to n{last}"));
            }
        }
        Ok(())
    }

    /// Whether that is the node's answer to its neighbours; who waits for it hears of it.
    fn introduced(&self, body: &Value) -> bool {
        let Some((waiting, answer)) = self.topology_now().answered(body) else { return false };
        let clients = self.clients_now();
        for queue in waiting.iter().filter_map(|client| clients.get(client)) {
            queue.push(answer.clone().into_bytes());
        }
        true
    }

    /// To this node.
    fn deliver(&self, message: Message) {
        self.to_node.push(message.numbered(self.number()));
    }

    fn pass_on(&self, node: u16, message: Message) {
        if let Some(queue) = self.to_peers.get(&node) {
            queue.push(message.into_line());
        }
    }

    /// To a client that calls at that node.
    fn to_client(&self, client: u64, node: u16, message: Message) {
        match node == self.own {
            true => self.answer(client, message),
            false => self.pass_on(node, message),
        }
    }

    fn answer(&self, client: u64, message: Message) {
        if let Some(queue) = self.clients_now().get(&client) {
            queue.push(message.into_line());
        }
    }

    fn tell_node(&self, src: &str, body: &str) {
        let own = format!("n{}", self.own);
        self.to_node.push(compose(self.number(), src, &own, body));
    }

    fn number(&self) -> u64 {
        self.messages.fetch_add(1, Relaxed)
    }

    fn topology_now(&self) -> MutexGuard<'_, Topology> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clients_now(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Queue>>> {
        self.to_clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the node says to the request to begin; none of what is no answer to it, which is passed over.
///
/// # Errors
/// What it said instead of yes, as a fragment.
pub(super) fn begun(answer: &[u8]) -> Option<Result<(), String>> {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    (answer["in_reply_to"].as_u64() == Some(1)).then(|| match answer["type"].as_str() {
        Some("init_ok") => Ok(()),
        _ => Err(format!("it answered `init` with {answer}")),
    })
}

#[cfg(test)]
mod tests;
