//! Nodes that share a network: one port of each for all callers, and somebody who is asked whose a connection is.

use crate::lab::{QUIET, crosses, is_reset, is_silent, link, node, soon};
use faults::proxy::{Block, Call, Callers, Hub, Upstream};
use faults::{Accept, BoxFuture, Counters, Heal, Plan, Rule};
use history::NodeId;
use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

const PORT: u16 = 2380;

/// Knows what the test has told, and thinks about all else until it is told.
#[derive(Default)]
struct Book(Mutex<BTreeMap<SocketAddrV4, Option<NodeId>>>);

impl Book {
    fn tell(&self, stream: &TcpStream, whose: Option<u16>) {
        let SocketAddr::V4(from) = stream.local_addr().unwrap() else { panic!("IPv6") };
        self.0.lock().unwrap().insert(from, whose.map(NodeId));
    }
}

impl Callers for Book {
    fn who(&self, call: Call) -> BoxFuture<'_, Option<NodeId>> {
        Box::pin(async move {
            assert_eq!(call.to.port(), PORT);
            loop {
                if let Some(known) = self.0.lock().unwrap().get(&call.from) {
                    return *known;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    }
}

struct Lab {
    hub: Hub,
    book: Arc<Book>,
    listeners: Vec<TcpListener>,
    block: Block,
}

impl Lab {
    async fn new(count: u16) -> Self {
        let nodes: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let (block, book) = (Block::reserve().unwrap(), Arc::new(Book::default()));
        let callers: Arc<dyn Callers> = book.clone();
        let hub = Hub::start_shared(&nodes, &block, &[PORT], &callers).unwrap();
        let mut listeners = Vec::new();
        for &node in &nodes {
            let at = (block.own(node).unwrap(), PORT);
            listeners.push(TcpListener::bind(at).await.unwrap());
            let at = at.into();
            hub.set_upstream(node, Some(Upstream { peer: at, client: at }));
        }
        Self { hub, book, listeners, block }
    }

    /// Calls a node at the address by which all know it. Nobody knows whose it is yet.
    async fn call(&self, target: u16) -> TcpStream {
        let at = (self.block.known(node(target)).unwrap(), PORT);
        soon("connect", TcpStream::connect(at)).await.unwrap()
    }

    async fn dial(&self, dialler: u16, target: u16) -> TcpStream {
        let stream = self.call(target).await;
        self.book.tell(&stream, Some(dialler));
        stream
    }

    async fn pair(&self, dialler: u16, target: u16) -> (TcpStream, TcpStream) {
        let dialled = self.dial(dialler, target).await;
        let (reached, from) = soon("accept", self.listener(target).accept()).await.unwrap();
        let known = self.block.known(node(dialler)).unwrap();
        assert_eq!(from.ip(), known, "the node sees who calls as it knows it");
        (dialled, reached)
    }

    fn listener(&self, target: u16) -> &TcpListener {
        &self.listeners[usize::from(target) - 1]
    }

    async fn is_reached(&self, target: u16) -> bool {
        tokio::time::timeout(QUIET, self.listener(target).accept()).await.is_ok()
    }

    fn counters(&self, from: u16, to: u16) -> Counters {
        self.hub.counters(link(from, to)).unwrap()
    }
}

#[tokio::test]
async fn a_cut_of_one_caller_is_none_of_another_at_the_same_address() {
    let lab = Lab::new(3).await;
    assert_eq!(lab.hub.peer_address(node(1), node(3)), lab.hub.peer_address(node(2), node(3)));
    let (mut one, mut from_one) = lab.pair(1, 3).await;
    let (mut two, mut from_two) = lab.pair(2, 3).await;
    crosses(&mut one, &mut from_one, b"one").await;
    crosses(&mut two, &mut from_two, b"two").await;
    let cut = Plan::hold([link(1, 3)], Heal::Deliver);
    let before = lab.hub.apply(cut).await.unwrap().counters;
    tokio::io::AsyncWriteExt::write_all(&mut one, b"held").await.unwrap();
    let mut late = lab.dial(1, 3).await;
    tokio::io::AsyncWriteExt::write_all(&mut late, b"late").await.unwrap();
    crosses(&mut two, &mut from_two, b"still here").await;
    let (mut new, mut from_new) = lab.pair(2, 3).await;
    crosses(&mut new, &mut from_new, b"and again").await;
    is_silent(&mut from_one).await;
    crosses(&mut from_one, &mut one, b"the way back is open").await;
    assert!(!lab.is_reached(3).await, "a call over a link that is cut");
    let after = lab.hub.apply(Plan::default()).await.unwrap().counters;
    let passed = |from| after[&link(from, 3)].since(&before[&link(from, 3)]);
    assert_eq!((passed(1).forwarded_bytes, passed(1).hung), (0, 1), "{:?}", passed(1));
    assert_eq!(passed(2).forwarded_bytes, 19, "{:?}", passed(2));
    let mut got = [0; 4];
    soon("what was held", tokio::io::AsyncReadExt::read_exact(&mut from_one, &mut got))
        .await
        .unwrap();
    assert_eq!(&got, b"held");
    let (mut from_late, _) = soon("accept", lab.listener(3).accept()).await.unwrap();
    soon("what was late", tokio::io::AsyncReadExt::read_exact(&mut from_late, &mut got))
        .await
        .unwrap();
    assert_eq!(&got, b"late");
    assert_eq!(lab.hub.unknown_callers(), 0);
}

#[tokio::test]
async fn nothing_passes_before_it_is_known_whose_it_is_and_nobody_waits_for_that() {
    let lab = Lab::new(2).await;
    let mut slow = lab.call(2).await;
    tokio::io::AsyncWriteExt::write_all(&mut slow, b"slow").await.unwrap();
    assert!(!lab.is_reached(2).await);
    let (mut quick, mut reached) = lab.pair(1, 2).await;
    crosses(&mut quick, &mut reached, b"quick").await;
    assert_eq!(lab.counters(1, 2).read_bytes, 5);
    lab.book.tell(&slow, Some(1));
    let (mut reached, _) = soon("accept", lab.listener(2).accept()).await.unwrap();
    let mut got = [0; 4];
    soon("bytes", tokio::io::AsyncReadExt::read_exact(&mut reached, &mut got)).await.unwrap();
    assert_eq!(&got, b"slow");
    // Not of this hub's nodes, and nobody's.
    for whose in [Some(3), None] {
        let mut stranger = lab.call(2).await;
        lab.book.tell(&stranger, whose);
        is_reset(&mut stranger).await;
    }
    assert_eq!((lab.hub.unknown_callers(), lab.counters(1, 2).dialled), (2, 2));
}

#[tokio::test]
async fn a_node_that_calls_itself_is_never_cut_off() {
    let lab = Lab::new(2).await;
    let (mut itself, mut reached) = lab.pair(1, 1).await;
    let all = Plan::hold([link(1, 2), link(2, 1)], Heal::Cut);
    lab.hub.apply(all).await.unwrap();
    crosses(&mut itself, &mut reached, b"me").await;
    crosses(&mut reached, &mut itself, b"you").await;
    let (mut again, mut reached) = lab.pair(1, 1).await;
    crosses(&mut again, &mut reached, b"still me").await;
    lab.hub.apply(Plan::default()).await.unwrap();
    crosses(&mut again, &mut reached, b"not reset").await;
    assert_eq!(lab.hub.counters(link(1, 1)), None, "it is no link");
    assert_eq!(lab.counters(2, 1).dialled + lab.counters(1, 2).dialled, 0);
}

#[tokio::test]
async fn each_caller_is_treated_as_the_plan_says() {
    let lab = Lab::new(3).await;
    let treat =
        |accept| Plan { rules: [(link(1, 3), Rule::accepting(accept))].into(), ..Plan::default() };
    for accept in [Accept::Reset, Accept::Refuse, Accept::Hang] {
        let before = lab.hub.apply(treat(accept)).await.unwrap().counters[&link(1, 3)];
        let mut treated = lab.dial(1, 3).await;
        if accept == Accept::Hang {
            assert!(!lab.is_reached(3).await, "it got through");
        } else {
            is_reset(&mut treated).await;
        }
        lab.pair(2, 3).await;
        let after = lab.hub.apply(Plan::default()).await.unwrap().counters[&link(1, 3)];
        let seen = after.since(&before);
        assert_eq!((seen.dialled, seen.opened), (1, 0), "{accept:?} {seen:?}");
        let taken = u64::from(accept != Accept::Reset);
        assert_eq!((seen.taken, seen.unanswered, seen.closed), (taken, 0, 0), "{accept:?}");
        if accept == Accept::Hang {
            let (mut reached, _) = soon("accept", lab.listener(3).accept()).await.unwrap();
            crosses(&mut treated, &mut reached, b"after the heal").await;
        }
    }
    assert!(!lab.is_reached(3).await, "nobody else came");
}
