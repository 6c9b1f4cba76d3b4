//! `harness disk`: the disks under the nodes of one run, in the guardian's mount namespace.
//!
//! The guardian starts it before any node. For each disk the harness sends one datagram: what to mount and where, and
//! with it the descriptor on which that disk is told what to do. A thread answers each; the disks know nothing of each
//! other. The process ends when one of the lines is closed, as all
//! are when the harness is gone, and every mount ends with it.
//!
//! It does not decide what happens to a disk, and writes nothing but what a disk is told to keep.

use crate::exit::{Exit, Failure};
use faults::disk::Promises;
use faults::disk::mount::Mount;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};
use std::io::{Error, IoSlice, IoSliceMut, Result, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

/// The longest datagram, in bytes: a path and little else.
const DATAGRAM_LIMIT_BYTES: usize = 16 * 1024;
/// How often the threads are looked at, in milliseconds.
const TICK_MS: u16 = 100;

/// The flags of the hidden `harness disk`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    /// The inherited socket to the harness
    #[arg(long)]
    pub socket_fd: i32,
}

/// What to mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The folder to mount over.
    pub place: PathBuf,
    /// What the file system promises.
    pub promises: Promises,
    /// How many bytes it holds.
    pub capacity: u64,
}

/// Has a disk mounted by the process at the other end of `socket`; returns the line on which it is told what to do,
/// and on which it first says that it is there.
///
/// # Errors
/// The process is gone.
pub fn mount(socket: &UnixDatagram, wanted: &Wanted) -> Result<UnixStream> {
    let (line, theirs) = UnixStream::pair()?;
    let text = serde_json::to_vec(wanted)?;
    let fds = [theirs.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&text)], &rights, flags, None)?;
    Ok(line)
}

/// Runs the disks to their end.
///
/// # Errors
/// The descriptor is not a socket, or a disk broke.
pub fn enter(args: Args) -> std::result::Result<Exit, Failure> {
    let fd = args.socket_fd;
    if !crate::guardian::is_socket(fd) {
        let message = format!("descriptor {fd} in `--socket-fd` is not a socket");
        return Err(Failure::usage(message));
    }
    // SAFETY: the descriptor is open (checked above), was inherited for this purpose and is known to nothing else in
    // this process, which has only just started.
    let socket = UnixDatagram::from(unsafe { OwnedFd::from_raw_fd(fd) });
    serve(&socket).map_err(|error| Failure::environment(format!("a disk broke: {error}")))?;
    Ok(Exit::Valid)
}

fn serve(socket: &UnixDatagram) -> Result<()> {
    let mut disks: Vec<JoinHandle<Result<()>>> = Vec::new();
    loop {
        let mut watched = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let ready = match poll(&mut watched, PollTimeout::from(TICK_MS)) {
            Ok(ready) => ready > 0,
            Err(Errno::EINTR) => false,
            Err(errno) => return Err(errno.into()),
        };
        if let Some(ended) = disks.extract_if(.., |disk| disk.is_finished()).next() {
            return ended.join().unwrap_or_else(|_| Err(Error::other("its thread panicked")));
        }
        if ready {
            let Some((wanted, line)) = receive(socket)? else { return Ok(()) };
            let thread = std::thread::Builder::new().name("disk".to_owned());
            disks.push(thread.spawn(move || disk(&wanted, line))?);
        }
    }
}

fn disk(wanted: &Wanted, mut line: UnixStream) -> Result<()> {
    match Mount::new(&wanted.place, wanted.promises, wanted.capacity) {
        Ok(mount) => mount.serve(line),
        Err(error) => {
            let why = format!("{} cannot be mounted over: {error}", wanted.place.display());
            let refused: std::result::Result<(), String> = Err(why);
            let mut text = serde_json::to_vec(&refused)?;
            text.push(b'\n');
            line.write_all(&text)
        }
    }
}

/// The next disk that is wanted; none if no line comes with it, which only a broken harness sends.
fn receive(socket: &UnixDatagram) -> Result<Option<(Wanted, UnixStream)>> {
    let mut buffer = vec![0; DATAGRAM_LIMIT_BYTES];
    let mut space = nix::cmsg_space!(std::os::fd::RawFd);
    let mut slices = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let length = message.bytes;
    let fds = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    let Some(fd) = fds else { return Ok(None) };
    // SAFETY: the kernel has just made this descriptor for this process, and nothing else knows it.
    let line = UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(Some((serde_json::from_slice(&buffer[..length])?, line)))
}
