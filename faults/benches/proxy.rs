//! What the hub adds to a round trip: 1 KiB there and back over loopback, directly and through the
//! hub, on one connection; and how long a plan takes to be in effect while that connection is busy.
//!
//! `cargo bench -p faults`; the figures are in `docs/performance.md`.

use criterion::{Criterion, criterion_group, criterion_main};
use faults::proxy::{Hub, Upstream};
use faults::{Heal, Link, Plan};
use history::NodeId;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

const MESSAGE_BYTES: usize = 1024;

/// Answers every message with itself, on each connection in a thread of its own.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut message = [0; MESSAGE_BYTES];
    let _ = stream.set_nodelay(true);
    while stream.read_exact(&mut message).is_ok() && stream.write_all(&message).is_ok() {}
}

fn round_trip(stream: &mut TcpStream) {
    let mut message = [1; MESSAGE_BYTES];
    stream.write_all(&message).expect("the echo reads");
    stream.read_exact(&mut message).expect("the echo answers");
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the echo listens");
    stream.set_nodelay(true).expect("a socket option");
    stream
}

fn benches(criterion: &mut Criterion) {
    let echo = echo();
    let nodes = [NodeId(1), NodeId(2), NodeId(3)];
    let hub = Hub::start(&nodes).expect("the hub starts");
    hub.set_upstream(nodes[1], Some(Upstream { peer: echo, client: echo }));
    let through = hub.peer_address(nodes[0], nodes[1]).expect("the hub knows both");
    for (name, address) in [("round trip, direct", echo), ("round trip, hub", through)] {
        let mut stream = connect(address);
        criterion.bench_function(name, |bencher| bencher.iter(|| round_trip(&mut stream)));
    }
    let mut busy = connect(through);
    let _busy = thread::spawn(move || {
        loop {
            round_trip(&mut busy);
        }
    });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The busy connection is not on these links, so it goes on.
    let plan = Plan::hold([Link::new(nodes[0], nodes[2])], Heal::Deliver);
    criterion.bench_function("apply a plan", |bencher| {
        bencher.iter(|| runtime.block_on(hub.apply(plan.clone())).expect("the hub answers"));
    });
    std::mem::forget(hub);
}

criterion_group!(proxy, benches);
criterion_main!(proxy);
