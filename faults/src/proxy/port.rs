//! The ports of the hub: who is calling whom is known by the port, and each port treats its callers as the plan says.
//!
//! A port keeps its number for the whole run, whatever it does with callers. So it is two sockets: one that is only
//! bound and keeps the number, and one that listens beside it (`SO_REUSEPORT`), which comes and goes.
//!
//! | accept | how |
//! |---|---|
//! | serve | it listens |
//! | reset | it listens, and each connection is reset as soon as it was accepted |
//! | refuse | the listening socket is closed: the kernel answers `ECONNREFUSED`. The hub calls the port itself to see that, when the refusal begins and right before it ends; other calls leave no trace |
//! | hang | the queue of connections to be accepted is cut to one place, and that is taken by a connection of the hub's own: the kernel leaves further calls unanswered, and counts them |
//!
//! Whoever had connected before the change is accepted first, so nothing that exists is lost.
//!
//! A port that several callers share ([`callers`]) always listens, because whose a call is shows only once it was
//! accepted: what should hang waits from then on, and what should be refused is reset.

use super::MAX_CONNECTIONS;
use super::board::{Board, Way};
use super::callers::{self, Callers};
use super::connection::Connection;
use super::route::{Place, Route};
use super::shared::Shared;
use super::side::Side;
use super::tally::{add, count};
use crate::link::{ClientConnection, Link};
use crate::pace::Accept;
use history::NodeId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    Backlog, SockFlag, SockaddrIn, accept4, bind, connect, getsockname, getsockopt, setsockopt,
    sockopt,
};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// How long a call of the hub's own may take. On loopback it is over when `connect` returns, or soon after.
const CALL_LIMIT: Duration = Duration::from_millis(20);

/// Who calls whom on a port. Without a dialler it is for clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) target: NodeId,
    pub(super) dialler: Option<NodeId>,
}

impl Caller {
    /// The two directions of its connection of this number.
    pub(super) fn ways(self, connection: u64) -> [Way; 2] {
        match self.dialler {
            Some(dialler) => {
                let link = Link::new(dialler, self.target);
                [Way::Peer(link), Way::Peer(link.reversed())]
            }
            None => {
                [true, false].map(|inward| Way::Client { node: self.target, connection, inward })
            }
        }
    }

    /// Where its calls are counted.
    pub(super) fn way(self) -> Way {
        self.ways(0)[0]
    }
}

/// A port that is open; it may be sent to the hub's thread.
#[derive(Debug)]
pub(super) struct Open {
    keeper: OwnedFd,
    listening: OwnedFd,
    place: Place,
    pub(super) address: SocketAddrV4,
}

/// Opens a port in `place`; with 0 as its number, one of the system's choice.
pub(super) fn open(place: Place, at: SocketAddrV4) -> io::Result<Open> {
    let keeper = bound(&place, at)?;
    let address = SocketAddrV4::from(getsockname::<SockaddrIn>(keeper.as_raw_fd())?);
    let listening = bound(&place, address)?;
    listen_with(&listening, Backlog::MAXCONN)?;
    Ok(Open { keeper, listening, place, address })
}

fn bound(place: &Place, address: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = place.stream_socket()?;
    setsockopt(&socket, sockopt::ReusePort, &true)?;
    bind(socket.as_raw_fd(), &SockaddrIn::from(address))?;
    Ok(socket)
}

fn listen_with(socket: &impl AsFd, backlog: Backlog) -> io::Result<()> {
    Ok(nix::sys::socket::listen(socket, backlog)?)
}

/// Whom a port is for.
pub(super) enum Users {
    /// Of one caller, who is reached like this.
    One(Caller, Route),
    /// Of all of these, told apart by asking.
    Many(Vec<(Caller, Route)>, Arc<dyn Callers>),
}

/// A port that is open, with whom it is for; it may be sent to the hub's thread.
pub(super) struct Gate {
    pub(super) open: Open,
    pub(super) users: Users,
}

/// A number for a connection, different over all hubs of the process.
pub(super) fn next_connection() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}

/// One caller of a port, on the hub's thread.
#[derive(Debug)]
pub(super) struct Dialling {
    pub(super) caller: Caller,
    pub(super) route: Rc<Route>,
    /// How many connections of it were accepted, which names them in draws.
    accepted: Cell<u64>,
}

impl Dialling {
    fn new((caller, route): (Caller, Route)) -> Self {
        Self { caller, route: Rc::new(route), accepted: Cell::new(0) }
    }

    /// What names its next connection in draws.
    pub(super) fn next_lot(&self, way: Way) -> u64 {
        u64::from(way.lane()) << 32 | self.accepted.replace(self.accepted.get() + 1)
    }
}

/// One port, on the hub's thread.
pub(super) struct Port {
    /// One, if nobody has to be asked who calls.
    diallings: Vec<Dialling>,
    callers: Option<Arc<dyn Callers>>,
    /// Where it is; its callers are there too.
    place: Place,
    address: SocketAddrV4,
    _keeper: OwnedFd,
    state: RefCell<State>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("address", &self.address).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct State {
    accept: Accept,
    /// None while it refuses.
    listener: Option<TcpListener>,
    /// The hub's own connections, which take the places in the queue.
    fillers: Vec<(SocketAddr, OwnedFd)>,
    /// Unanswered calls that are already counted.
    dropped: u32,
    waker: Option<Waker>,
}

impl Port {
    /// # Errors
    /// The process has no descriptors left.
    pub(super) fn new(gate: Gate) -> io::Result<Self> {
        let Gate { open: Open { keeper: _keeper, listening, place, address }, users } = gate;
        let (users, callers) = match users {
            Users::One(caller, route) => (vec![(caller, route)], None),
            Users::Many(users, callers) => (users, Some(callers)),
        };
        let state = State {
            accept: Accept::Serve,
            listener: Some(TcpListener::from_std(listening.into())?),
            fillers: Vec::new(),
            dropped: 0,
            waker: None,
        };
        let diallings = users.into_iter().map(Dialling::new).collect();
        let state = RefCell::new(state);
        Ok(Self { diallings, callers, place, address, _keeper, state })
    }

    /// Who calls it, if that needs no asking. Only then can calls be left unanswered or be refused.
    pub(super) fn only_caller(&self) -> Option<Caller> {
        let only = self.diallings.first().filter(|_| self.callers.is_none());
        only.map(|dialling| dialling.caller)
    }

    /// This node as a caller of it; none if the port is not for it.
    pub(super) fn dialling(&self, node: NodeId) -> Option<&Dialling> {
        self.diallings.iter().find(|dialling| dialling.caller.dialler == Some(node))
    }

    /// Brings the counters of calls that nobody accepted up to date.
    pub(super) fn settle(&self, shared: &Shared) {
        let Some(caller) = self.only_caller() else { return };
        let tally = shared.tally(caller.way());
        let mut state = self.state.borrow_mut();
        match (state.accept, &state.listener) {
            (Accept::Hang, Some(listener)) => {
                let dropped = calls_dropped(listener).unwrap_or(state.dropped);
                add(&tally.unanswered, dropped.wrapping_sub(state.dropped) as usize);
                state.dropped = dropped;
            }
            (Accept::Refuse, _) if self.is_refused() => count(&tally.closed),
            _ => {}
        }
    }

    /// Treats callers like this from now on; when it returns, it does.
    pub(super) fn set(&self, accept: Accept, board: &Board) -> io::Result<()> {
        let before = self.state.borrow().accept;
        if before == accept {
            return Ok(());
        }
        self.listen_again(before)?;
        if matches!(accept, Accept::Hang | Accept::Refuse) {
            while let Some(stream) = self.accept_now() {
                self.admit(stream, board);
            }
        }
        let mut state = self.state.borrow_mut();
        match accept {
            Accept::Serve | Accept::Reset => {}
            Accept::Hang => self.fill_queue(&mut state)?,
            Accept::Refuse => {
                state.listener = None;
                if let Some(caller) = self.only_caller()
                    && self.is_refused()
                {
                    count(&board.shared().tally(caller.way()).closed);
                }
            }
        }
        state.accept = accept;
        if let Some(waker) = &state.waker {
            waker.wake_by_ref();
        }
        Ok(())
    }

    /// Undoes what it did to callers.
    fn listen_again(&self, before: Accept) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        match (before, &state.listener) {
            (Accept::Hang, Some(listener)) => listen_with(listener, Backlog::MAXCONN)?,
            (Accept::Refuse, None) => {
                let socket = bound(&self.place, self.address)?;
                listen_with(&socket, Backlog::MAXCONN)?;
                state.listener = Some(TcpListener::from_std(socket.into())?);
                state.dropped = 0;
            }
            _ => {}
        }
        state.accept = Accept::Serve;
        Ok(())
    }

    /// Leaves no place in the queue of connections to be accepted.
    fn fill_queue(&self, state: &mut State) -> io::Result<()> {
        let Some(listener) = &state.listener else { return Err(io::ErrorKind::NotFound.into()) };
        listen_with(listener, Backlog::new(0)?)?;
        let filler = self.place.stream_socket()?;
        // It is in the queue, or on its way there.
        match connect(filler.as_raw_fd(), &SockaddrIn::from(self.address)) {
            Ok(()) | Err(nix::Error::EINPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let begin = Instant::now();
        while !is_full(listener)? {
            if begin.elapsed() > CALL_LIMIT {
                return Err(io::Error::other("a port still takes connections"));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        state.dropped = calls_dropped(listener)?;
        let source = SocketAddrV4::from(getsockname::<SockaddrIn>(filler.as_raw_fd())?);
        state.fillers.push((source.into(), filler));
        Ok(())
    }

    /// Whether a call is refused now.
    fn is_refused(&self) -> bool {
        let call = || -> io::Result<()> {
            let probe = self.place.stream_socket()?;
            match connect(probe.as_raw_fd(), &SockaddrIn::from(self.address)) {
                Err(nix::Error::EINPROGRESS) => {}
                other => return Ok(other?),
            }
            let limit = PollTimeout::try_from(CALL_LIMIT).unwrap_or(PollTimeout::ZERO);
            poll(&mut [PollFd::new(probe.as_fd(), PollFlags::POLLOUT)], limit)?;
            let error = getsockopt(&probe, sockopt::SocketError)?;
            if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
        };
        call().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// Accepts somebody who has connected, if there is anybody.
    fn accept_now(&self) -> Option<TcpStream> {
        loop {
            let state = self.state.borrow();
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let accepted = accept4(state.listener.as_ref()?.as_raw_fd(), flags).ok()?;
            drop(state);
            // SAFETY: accept4 has just made this descriptor, and nobody else knows it.
            let accepted = unsafe { OwnedFd::from_raw_fd(accepted) };
            let stream = TcpStream::from_std(accepted.into()).ok()?;
            if !self.is_filler(&stream) {
                return Some(stream);
            }
        }
    }

    /// Whether this is the hub's own connection, which has done its duty then.
    fn is_filler(&self, stream: &TcpStream) -> bool {
        let fillers = &mut self.state.borrow_mut().fillers;
        let before = fillers.len();
        if before > 0
            && let Ok(source) = stream.peer_addr()
        {
            fillers.retain(|(filler, _)| *filler != source);
        }
        fillers.len() < before
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        loop {
            let mut state = self.state.borrow_mut();
            state.waker = Some(context.waker().clone());
            if matches!(state.accept, Accept::Hang | Accept::Refuse) {
                return Poll::Pending;
            }
            let Some(listener) = &state.listener else { return Poll::Pending };
            let accepted = std::task::ready!(listener.poll_accept(context));
            drop(state);
            match accepted {
                Ok((stream, _)) if self.is_filler(&stream) => {}
                accepted => return Poll::Ready(accepted.map(|(stream, _)| stream)),
            }
        }
    }

    /// Takes a connection of its only caller.
    fn admit(&self, stream: TcpStream, board: &Board) {
        let Some(dialling) = self.diallings.first() else { return };
        let id = next_connection();
        let ways = dialling.caller.ways(id);
        let shared = board.shared();
        let accept = self.state.borrow().accept;
        if accept == Accept::Reset || shared.connections() >= MAX_CONNECTIONS {
            let tally = shared.tally(ways[0]);
            count(&tally.dialled);
            count(&tally.refused);
            Side::new(stream).reset();
            return;
        }
        let Caller { target: node, dialler } = dialling.caller;
        let client = dialler.is_none().then(|| stream.peer_addr().ok()).flatten();
        let client =
            client.map(|source| ClientConnection { id, node, source, forwarded_bytes: [0; 2] });
        let entered = shared.enter(id, client);
        let lot = dialling.next_lot(ways[0]);
        let connection = Connection::new(Side::new(stream), ways, lot, board, entered);
        tokio::task::spawn_local(connection.run(node, Rc::clone(&dialling.route)));
    }
}

/// Accepts until the hub ends.
pub(super) async fn listen(port: Rc<Port>, board: Board) {
    loop {
        match poll_fn(|context| port.poll_accept(context)).await {
            Ok(stream) => match &port.callers {
                None => port.admit(stream, &board),
                Some(callers) => {
                    let (port, callers) = (Rc::clone(&port), Arc::clone(callers));
                    tokio::task::spawn_local(callers::admit(port, callers, stream, board.clone()));
                }
            },
            // Out of descriptors, or the caller is gone already; both pass.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Whether the queue of connections to be accepted has no place left.
fn is_full(listener: &impl AsRawFd) -> io::Result<bool> {
    // Of a socket that listens, `tcpi_unacked` is the length of the queue and `tcpi_sacked` its bound. They follow
    // eight single bytes and four other words.
    let info: [u32; 8] = words(listener, nix::libc::IPPROTO_TCP, nix::libc::TCP_INFO)?;
    Ok(info[6] > info[7])
}

/// How many calls the kernel has left unanswered because the queue was full.
fn calls_dropped(listener: &impl AsRawFd) -> io::Result<u32> {
    // The place of `SK_MEMINFO_DROPS` (linux/sock_diag.h).
    let memory: [u32; 9] = words(listener, nix::libc::SOL_SOCKET, nix::libc::SO_MEMINFO)?;
    Ok(memory[8])
}

/// The first words of what a socket option says.
fn words<const N: usize>(
    socket: &impl AsRawFd,
    level: nix::libc::c_int,
    option: nix::libc::c_int,
) -> io::Result<[u32; N]> {
    let mut words = [0_u32; N];
    let mut size = nix::libc::socklen_t::try_from(size_of_val(&words)).unwrap_or(0);
    // SAFETY: the kernel writes at most `size` bytes, which is what `words` has, and any bytes are words.
    let result = unsafe {
        nix::libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            words.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    nix::Error::result(result)?;
    Ok(words)
}
