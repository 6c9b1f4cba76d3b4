//! The holder: the process that makes the namespaces, and sockets in them.
//!
//! It is a fork of this process that never becomes another program, so that the crate needs no binary of its own. Between
//! fork and its end it makes system calls only: what needs memory is there before. Of the descriptors it inherits it
//! keeps its end of the pair alone, and ends when that reads end-of-file. It is in a session of its own with every signal
//! blocked, so that a terminal's Ctrl-C leaves the hub its sockets until the run has been put in order.
//!
//! A socket that it passes out is closed here before the asker gets to use it: a listening one of which a copy is
//! open goes on taking calls, whoever else has closed it.

use super::rights::{self, MOST};
use super::{NamespaceError, loopback};
use crate::disk::namespace::Entry;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_name;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket,
    socketpair, sockopt,
};
use nix::sys::stat::Mode;
use nix::sys::time::{TimeVal, TimeValLike};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setsid};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many sockets the hub asks for at a time.
pub(super) const BATCH: usize = MOST;
/// How long the holder may take to answer; it normally takes microseconds.
const ANSWER_LIMIT_SECONDS: i64 = 5;
/// How long it may take to end, before it is killed.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The steps at which the kernel may say no, as the holder tells them.
const STEPS: [&str; 4] = [
    "leaving the inherited descriptors",
    "entering a network namespace",
    "setting up its loopback device",
    "naming a namespace",
];

/// A request: the number of the namespace, and how many sockets.
const REQUEST_BYTES: usize = 3;
/// An answer: the step that failed and the error, or zeros. One to a request is followed by a second, which says that
/// what came with the first is the asker's alone.
const ANSWER_BYTES: usize = 8;

/// The holder, from outside.
#[derive(Debug)]
pub(super) struct Holder {
    pid: Pid,
    /// None as soon as an answer has not come: a later one could not be told from it.
    pair: Mutex<Option<OwnedFd>>,
}

impl Holder {
    /// Starts it; it tells of one namespace for each address then.
    pub(super) fn start(entry: &Entry, addresses: &[Ipv4Addr]) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        let limit = TimeVal::seconds(ANSWER_LIMIT_SECONDS);
        setsockopt(&ours, sockopt::ReceiveTimeout, &limit)?;
        setsockopt(&ours, sockopt::SendTimeout, &limit)?;
        let rooms = Vec::with_capacity(addresses.len());
        // SAFETY: the child makes system calls only and never returns: it does not allocate (its list has its capacity
        // already), takes no lock, and drops nothing that it shares with the parent.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { pid: child, pair: Mutex::new(Some(ours)) }),
            ForkResult::Child => live(&theirs, entry, addresses, rooms),
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// The next namespace, in the order of the addresses; with the first comes the user namespace, if there is one.
    pub(super) fn hear_of_room(&self) -> Result<Vec<OwnedFd>, NamespaceError> {
        let (step, error, rights) = self.exchange(None)?;
        if error == 0 {
            return Ok(rights);
        }
        let what = STEPS.get(step).copied().unwrap_or("a namespace");
        Err(NamespaceError::Forbidden { what, why: Errno::from_raw(error) })
    }

    /// So many new sockets for TCP over IPv4 in a namespace.
    pub(super) fn ask(&self, room: u16, count: usize) -> io::Result<Vec<OwnedFd>> {
        let [low, high] = room.to_ne_bytes();
        let request = [low, high, count.min(MOST) as u8];
        let (_, error, rights) = self.exchange(Some(request))?;
        if error == 0 { Ok(rights) } else { Err(io::Error::from_raw_os_error(error)) }
    }

    fn exchange(
        &self,
        request: Option<[u8; REQUEST_BYTES]>,
    ) -> io::Result<(usize, i32, Vec<OwnedFd>)> {
        let mut pair = self.pair.lock().expect("no holder of this lock panics");
        let Some(socket) = pair.as_ref() else { return Err(gone()) };
        let mut answer = [0; ANSWER_BYTES];
        let heard = match request {
            None => hear(socket, &mut answer),
            Some(request) => ask(socket, request, &mut answer),
        };
        match heard {
            Ok((ANSWER_BYTES, rights)) => {
                let [step, error] = [0, 4].map(|at| {
                    let mut word = [0; 4];
                    word.copy_from_slice(&answer[at..at + 4]);
                    i32::from_ne_bytes(word)
                });
                Ok((usize::try_from(step).unwrap_or(usize::MAX), error, rights))
            }
            _ => {
                *pair = None;
                Err(gone())
            }
        }
    }
}

/// Asks, and hears both answers; returns the first.
fn ask(
    socket: &OwnedFd,
    request: [u8; REQUEST_BYTES],
    answer: &mut [u8],
) -> nix::Result<(usize, Vec<OwnedFd>)> {
    rights::send(socket.as_fd(), &request, &[])?;
    let first = hear(socket, answer)?;
    match hear(socket, &mut [0; ANSWER_BYTES])? {
        (ANSWER_BYTES, _) => Ok(first),
        _ => Err(Errno::EPIPE),
    }
}

fn hear(socket: &OwnedFd, answer: &mut [u8]) -> nix::Result<(usize, Vec<OwnedFd>)> {
    loop {
        match rights::receive(socket.as_fd(), answer) {
            Err(Errno::EINTR) => {}
            heard => return heard,
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "it is gone or does not answer")
}

impl Drop for Holder {
    fn drop(&mut self) {
        *self.pair.lock().expect("no holder of this lock panics") = None;
        let deadline = Instant::now() + END_LIMIT;
        // Any other answer than this says that it is no child of ours any more.
        while let Ok(WaitStatus::StillAlive) = waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            if Instant::now() >= deadline {
                // It is not reaped yet, so the number is still its own.
                let _ = kill(self.pid, Signal::SIGKILL);
                let _ = waitpid(self.pid, None);
                return;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// The life of the holder: makes the namespaces, then sockets until nobody asks any more.
fn live(pair: &OwnedFd, entry: &Entry, addresses: &[Ipv4Addr], mut rooms: Vec<OwnedFd>) -> ! {
    if let Err((step, error)) = settle(pair, entry, addresses, &mut rooms) {
        let _ = answer(pair, step, Err(error), &[]);
    } else {
        while serve(pair, &rooms) {}
    }
    // SAFETY: ends this fork alone and at once, without running what the parent has registered for its own end.
    unsafe { libc::_exit(0) }
}

fn settle(
    pair: &OwnedFd,
    entry: &Entry,
    addresses: &[Ipv4Addr],
    rooms: &mut Vec<OwnedFd>,
) -> Result<(), (usize, Errno)> {
    // Neither can fail in a process that has just been forked, and it lives without them.
    let _ = (setsid(), set_name(c"hub-sockets"));
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None);
    close_all_but(pair.as_raw_fd()).map_err(|error| (0, error))?;
    let mut user = None;
    for _ in addresses {
        let in_user = entry.leave(CloneFlags::CLONE_NEWNET).map_err(|error| (1, error))?;
        loopback::prepare(addresses).map_err(|error| (2, error))?;
        let name = |path: &str| {
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            open(path, flags, Mode::empty()).map_err(|error| (3, error))
        };
        let net = name("/proc/self/ns/net")?;
        if in_user {
            user = Some(name("/proc/self/ns/user")?);
        }
        let rights = [net.as_raw_fd(), user.as_ref().map_or(-1, AsRawFd::as_raw_fd)];
        let count = 1 + usize::from(in_user);
        answer(pair, 0, Ok(()), &rights[..count]).map_err(|error| (3, error))?;
        rooms.push(net);
    }
    Ok(())
}

/// Answers one request; false when there is nobody to answer any more.
fn serve(pair: &OwnedFd, rooms: &[OwnedFd]) -> bool {
    let mut request = [0; REQUEST_BYTES];
    match recv(pair.as_raw_fd(), &mut request, MsgFlags::empty()) {
        Ok(REQUEST_BYTES) => {}
        Err(Errno::EINTR) => return true,
        _ => return false,
    }
    let [low, high, count] = request;
    let room = rooms.get(usize::from(u16::from_ne_bytes([low, high])));
    let mut made = [-1; MOST];
    let wanted = usize::from(count).min(MOST);
    let done = make(room, &mut made[..wanted]);
    let have = if done.is_ok() { wanted } else { 0 };
    let sent = answer(pair, 0, done, &made[..have]);
    for one in made.into_iter().filter(|&one| one >= 0) {
        // SAFETY: `make` opened it and gave it away as a number; it is closed here and nowhere else.
        drop(unsafe { OwnedFd::from_raw_fd(one) });
    }
    sent.and_then(|()| answer(pair, 0, Ok(()), &[])).is_ok()
}

fn make(room: Option<&OwnedFd>, made: &mut [RawFd]) -> nix::Result<()> {
    let room = room.ok_or(Errno::EINVAL)?;
    setns(room, CloneFlags::CLONE_NEWNET)?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    for one in made {
        let new = socket(AddressFamily::Inet, SockType::Stream, flags, SockProtocol::Tcp)?;
        *one = new.into_raw_fd();
    }
    Ok(())
}

fn answer(pair: &OwnedFd, step: usize, done: nix::Result<()>, rights: &[RawFd]) -> nix::Result<()> {
    let error = done.map_or_else(|error| error as i32, |()| 0);
    let mut text = [0; ANSWER_BYTES];
    text[..4].copy_from_slice(&(step as i32).to_ne_bytes());
    text[4..].copy_from_slice(&error.to_ne_bytes());
    rights::send(pair.as_fd(), &text, rights)
}

fn close_all_but(kept: RawFd) -> nix::Result<()> {
    let kept = kept as libc::c_uint;
    let ranges = [(0, kept.checked_sub(1)), (kept + 1, Some(libc::c_uint::MAX))];
    for (first, last) in ranges {
        let Some(last) = last else { continue };
        // SAFETY: numbers only. Nothing of this process uses what is closed: it knows no descriptor but `kept`.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        Errno::result(closed)?;
    }
    Ok(())
}
