//! One connection: the dialler's socket, the target's socket, and a flow in each direction.
//!
//! One task owns all of it. It lives through three parts: *hanging* while the dialler's link is held,
//! *dialling* the target, and *carrying* bytes until both directions have ended. Where the target
//! cannot be had, the dialler is told by reset, over the link that carries the answers.

use super::board::{Board, Entered, Way};
use super::flow::{CHUNK_BYTES, End, Flow, Wants};
use super::side::{SEND_BUFFER_BYTES, Side};
use super::tally::count;
use history::NodeId;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a target may take to accept. On loopback the kernel accepts at once, also for a stopped
/// process, until its queue of new connections is full.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

thread_local! {
    /// What is read goes through here; nobody waits while holding it.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK_BYTES]);
}

/// One connection through the hub.
pub(super) struct Connection {
    board: Board,
    changes: watch::Receiver<u64>,
    dialler: Side,
    target: Side,
    /// From the dialler to the target.
    forth: Flow,
    /// From the target to the dialler.
    back: Flow,
    _entered: Entered,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        [forth, back]: [Way; 2],
        board: &Board,
        entered: Entered,
    ) -> Self {
        // Subscribed before the ways are looked at, so that no change falls in between.
        let changes = board.changes();
        let (forth, back) = (Flow::new(forth, board), Flow::new(back, board));
        count(&forth.tally().dialled);
        Self {
            board: board.clone(),
            changes,
            dialler: Side::new(stream),
            target: Side::absent(),
            forth,
            back,
            _entered: entered,
        }
    }

    /// Carries the connection to `node` until it ends.
    pub(super) async fn run(mut self, node: NodeId, for_clients: bool) {
        let alive = self.hang().await;
        if alive && self.dialler.was_reset() {
            return;
        }
        let upstream = self.board.shared().upstream(node, for_clients).filter(|_| alive);
        let stream = match upstream {
            Some(address) => dial(address).await,
            None => None,
        };
        match stream {
            Some(stream) => {
                count(&self.forth.tally().opened);
                self.target = Side::new(stream);
            }
            None => {
                if alive {
                    count(&self.forth.tally().refused);
                }
                self.back.abort(Instant::now());
            }
        }
        self.carry().await;
    }

    /// Waits until the dialler's link lets it dial; false if a heal has reset it instead.
    async fn hang(&mut self) -> bool {
        if self.forth.holds() {
            count(&self.forth.tally().hung);
        }
        loop {
            if self.refresh() {
                return false;
            }
            if !self.forth.holds() {
                return true;
            }
            if self.changes.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Follows the plan if it has changed; true if a heal resets this connection.
    fn refresh(&mut self) -> bool {
        let mut cut = false;
        for flow in [&mut self.forth, &mut self.back] {
            if flow.refresh(&self.board) {
                count(&flow.tally().reset);
                cut = true;
            }
        }
        if cut {
            let now = Instant::now();
            self.forth.abort(now);
            self.back.abort(now);
        }
        cut
    }

    async fn carry(&mut self) {
        loop {
            self.refresh();
            let (forth, back) = self.step();
            if self.is_over() {
                return;
            }
            if forth.again || back.again {
                tokio::task::yield_now().await;
                continue;
            }
            let wake = [forth.wake, back.wake].into_iter().flatten().min();
            tokio::select! {
                () = self.dialler.ready(forth.read, back.write) => {}
                () = self.target.ready(back.read, forth.write) => {}
                () = until(wake) => {}
                changed = self.changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Both directions in one step, in which nothing is waited for.
    fn step(&mut self) -> (Wants, Wants) {
        let (dialler, target) = (&mut self.dialler, &mut self.target);
        let before = (dialler.broken, target.broken);
        let now = Instant::now();
        let (mut forth, back) = SCRATCH.with_borrow_mut(|scratch| {
            let forth = self.forth.step(dialler, target, &self.board, scratch, now);
            (forth, self.back.step(target, dialler, &self.board, scratch, now))
        });
        // What one direction learns of a side's death may be the other's to pass on.
        forth.again |= before != (dialler.broken, target.broken);
        (forth, back)
    }

    /// Whether nobody is left to tell anything. Closes what ended well.
    fn is_over(&mut self) -> bool {
        if self.dialler.is_gone() && self.target.is_gone() {
            return true;
        }
        let finished = Some(End::Finish);
        if self.forth.done() == finished && self.back.done() == finished {
            self.dialler.close();
            self.target.close();
            return true;
        }
        false
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn dial(address: SocketAddr) -> Option<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.ok()?;
    // Before connecting, so that the window is never larger.
    let _ = socket.set_send_buffer_size(u32::try_from(SEND_BUFFER_BYTES).unwrap_or(u32::MAX));
    timeout(DIAL_LIMIT, socket.connect(address)).await.ok()?.ok()
}
