//! Who is calling, where nodes share the network of this machine: from the two ends of a connection to the node.
//!
//! The kernel says which socket is at the caller's end ([`kernel`]), and `/proc` which of the nodes' processes hold it:
//! those that the bypass audit takes for a node's, so its group and whatever one of them started.
//!
//! | the socket is held by | it is |
//! |---|---|
//! | processes of one node, any number (forked ones hold it too) | that node's |
//! | processes of two nodes | nobody's |
//! | nobody: closed since, or its process has ended | nobody's, at once |
//! | no node, for some looks: a process that has just been started is not known yet | nobody's |
//!
//! Invariants: nothing is guessed; every question is answered within [`LOOKS`] looks and the pauses between them; at most
//! [`WAITING`] questions wait, further ones are answered with nobody. One thread answers all, those that wait together in
//! one look at the processes, so a caller that is hard to find delays nobody but itself.
//!
//! Processes are listed again when a socket is held by none of those that are known, and one that is known counts only
//! as long as it is the same process. So a process of another node that has been handed the socket, and is younger than
//! the list, is not seen here; the audit sees it.

mod kernel;

use super::audit::sight;
use faults::BoxFuture;
use faults::proxy::{Block, Call, Callers};
use history::NodeId;
use kernel::Kernel;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often it looks for a node that holds a socket.
const LOOKS: u32 = 8;
/// Between the first two looks; it doubles from one to the next.
const PAUSE: Duration = Duration::from_millis(2);
/// How many questions wait at most.
const WAITING: usize = 4096;
/// How many times are kept, the latest.
const TIMES: usize = 65_536;

/// The nodes that run, each with the process that leads its group.
pub(super) type Running = Box<dyn Fn() -> BTreeMap<NodeId, i32> + Send>;

/// How well callers were found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallersFound {
    /// Connections of which the node was found.
    pub found: u64,
    /// Of which it was not, because the caller was gone.
    pub gone: u64,
    /// Because no node held the socket, or two did, or the kernel did not say.
    pub unknown: u64,
    /// How long it took for half of them, in microseconds.
    pub p50_us: u32,
    /// For all but one in a hundred.
    pub p99_us: u32,
}

/// Finds callers. See the [module](self).
pub(super) struct Finder {
    asks: SyncSender<Ask>,
    told: Arc<Mutex<Told>>,
}

/// One question, and where the answer goes.
struct Ask {
    call: Call,
    since: Instant,
    reply: oneshot::Sender<Option<NodeId>>,
}

/// What was answered.
#[derive(Default)]
struct Told {
    found: CallersFound,
    /// In microseconds; the latest takes the place of the oldest.
    times: Vec<u32>,
}

/// Why nobody can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nobody {
    /// The socket is not held any more.
    Gone,
    /// It is held by two nodes, or nobody knows.
    Unknown,
}

impl Finder {
    /// Starts the thread, which ends with this value.
    ///
    /// # Errors
    /// The kernel cannot be asked, or the thread not be started.
    pub(super) fn start(running: Running) -> io::Result<Self> {
        let kernel = Kernel::open()?;
        let (asks, questions) = sync_channel(WAITING);
        let told = Arc::<Mutex<Told>>::default();
        let looker = Looker { kernel, running, known: Vec::new() };
        let theirs = Arc::clone(&told);
        let answering = move || answer(looker, &questions, &theirs);
        std::thread::Builder::new().name("callers".to_owned()).spawn(answering)?;
        Ok(Self { asks, told })
    }

    /// How well callers were found so far.
    pub(super) fn found(&self) -> CallersFound {
        let told = lock(&self.told);
        let mut times = told.times.clone();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(0);
        CallersFound { p50_us: at(50), p99_us: at(99), ..told.found }
    }
}

impl Callers for Finder {
    fn who(&self, call: Call) -> BoxFuture<'_, Option<NodeId>> {
        let (reply, answer) = oneshot::channel();
        let asked = self.asks.try_send(Ask { call, since: Instant::now(), reply });
        Box::pin(async move {
            match asked {
                // The thread ends with this value only.
                Ok(()) => answer.await.ok().flatten(),
                Err(_) => None,
            }
        })
    }
}

/// A question that is being looked into.
struct Open {
    ask: Ask,
    due: Instant,
    looks: u32,
}

/// The thread: answers until nobody can ask any more.
fn answer(mut looker: Looker, questions: &Receiver<Ask>, told: &Mutex<Told>) {
    let mut open: Vec<Open> = Vec::new();
    loop {
        let next = match open.iter().map(|one| one.due).min() {
            None => questions.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => questions.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match next {
            Ok(ask) => {
                let more = questions.try_iter();
                let new = std::iter::once(ask).chain(more);
                open.extend(new.map(|ask| Open { due: ask.since, ask, looks: 0 }));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        let (due, later) = open.into_iter().partition(|one| one.due <= now);
        open = later;
        open.extend(look(&mut looker, due, told));
    }
}

/// One look for all of these; returns those that are to be looked for again.
fn look(looker: &mut Looker, due: Vec<Open>, told: &Mutex<Told>) -> Vec<Open> {
    let calls: Vec<Call> = due.iter().map(|one| one.ask.call).collect();
    let mut again = Vec::new();
    for (mut one, seen) in due.into_iter().zip(looker.look(&calls)) {
        one.looks += 1;
        match seen {
            Seen::Nobody if one.looks < LOOKS => {
                one.due = Instant::now() + PAUSE * (1 << (one.looks - 1));
                again.push(one);
            }
            Seen::Node(node) => tell(one.ask, Ok(node), told),
            Seen::Gone => tell(one.ask, Err(Nobody::Gone), told),
            Seen::Nobody | Seen::Several | Seen::Unasked => {
                tell(one.ask, Err(Nobody::Unknown), told);
            }
        }
    }
    again
}

fn tell(ask: Ask, who: Result<NodeId, Nobody>, told: &Mutex<Told>) {
    let took = u32::try_from(ask.since.elapsed().as_micros()).unwrap_or(u32::MAX);
    let mut told = lock(told);
    let found = &mut told.found;
    let counter = match who {
        Ok(_) => &mut found.found,
        Err(Nobody::Gone) => &mut found.gone,
        Err(Nobody::Unknown) => &mut found.unknown,
    };
    *counter += 1;
    let place = (found.found + found.gone + found.unknown - 1) as usize % TIMES;
    match told.times.get_mut(place) {
        Some(oldest) => *oldest = took,
        None => told.times.push(took),
    }
    drop(told);
    // Whoever asked may have given up.
    let _ = ask.reply.send(who.ok());
}

/// What one look has shown of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Node(NodeId),
    Several,
    Nobody,
    Gone,
    Unasked,
}

/// Asks the kernel, and looks into processes.
struct Looker {
    kernel: Kernel,
    running: Running,
    /// The nodes' processes when they were listed last.
    known: Vec<sight::Process>,
}

impl Looker {
    fn look(&mut self, calls: &[Call]) -> Vec<Seen> {
        let inodes: Vec<Result<Option<u64>, Seen>> = calls
            .iter()
            .map(|call| self.kernel.inode(call.from, call.to).map_err(|_| Seen::Unasked))
            .collect();
        let wanted: BTreeSet<u64> = inodes.iter().flatten().flatten().copied().collect();
        let mut holders = holders(&self.known, &wanted);
        if wanted.iter().any(|inode| !holders.contains_key(inode)) {
            self.known = sight::processes(&(self.running)()).unwrap_or_default();
            holders = self::holders(&self.known, &wanted);
        }
        let seen = |inode: Result<Option<u64>, Seen>| match inode {
            Err(seen) => seen,
            Ok(None) => Seen::Gone,
            Ok(Some(inode)) => {
                match holders.get(&inode).map(|nodes| (nodes.len(), nodes.first())) {
                    Some((1, Some(node))) => Seen::Node(*node),
                    Some(_) => Seen::Several,
                    None => Seen::Nobody,
                }
            }
        };
        inodes.into_iter().map(seen).collect()
    }
}

/// The nodes that hold these sockets.
fn holders(known: &[sight::Process], wanted: &BTreeSet<u64>) -> BTreeMap<u64, BTreeSet<NodeId>> {
    let mut holders = BTreeMap::<u64, BTreeSet<NodeId>>::new();
    if wanted.is_empty() {
        return holders;
    }
    for process in known {
        // What may not be looked at holds nothing that could be seen.
        let held = process.sockets().unwrap_or_default();
        let held: Vec<u64> = held.into_iter().filter(|inode| wanted.contains(inode)).collect();
        if !held.is_empty() && process.is_the_same() {
            for inode in held {
                holders.entry(inode).or_default().insert(process.party.node);
            }
        }
    }
    holders
}

/// Whether callers can be found on this machine, by finding this process.
///
/// # Errors
/// What cannot be had, as a fragment.
pub fn probe() -> Result<(), String> {
    let cannot = |what: &str, error: io::Error| format!("{what} is not possible here ({error})");
    let address = || Block::reserve().map(|block| block.known(NodeId(1)));
    let address = address().map_err(|e| cannot("reserving addresses of loopback", e))?;
    let call = || -> io::Result<(TcpStream, TcpListener, Call)> {
        let listener = TcpListener::bind((address.ok_or(io::ErrorKind::InvalidInput)?, 0))?;
        let caller = TcpStream::connect(listener.local_addr()?)?;
        let (SocketAddr::V4(from), SocketAddr::V4(to)) =
            (caller.local_addr()?, listener.local_addr()?)
        else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok((caller, listener, Call { from, to }))
    };
    let (_caller, _listener, Call { from, to }) =
        call().map_err(|e| cannot("using another address of loopback", e))?;
    find_self(from, to)
}

fn find_self(from: SocketAddrV4, to: SocketAddrV4) -> Result<(), String> {
    let asked = Kernel::open().and_then(|mut kernel| kernel.inode(from, to));
    let asked = asked.map_err(|error| {
        format!(
            "asking the kernel whose a connection is (sock_diag) is not possible here ({error})"
        )
    })?;
    let held =
        sight::sockets_of_this_process().map_err(|why| format!("/proc is hidden ({why})"))?;
    match asked {
        Some(inode) if held.contains(&inode) => Ok(()),
        _ => Err("the kernel does not say whose a connection is".to_owned()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
