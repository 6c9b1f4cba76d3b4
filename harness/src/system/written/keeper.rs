//! The keeper: who stands between the harness and a program that it starts, and leaves nothing of that program behind.
//!
//! A program may start others, put them into sessions of their own and end before them; nobody who only knows its
//! process group finds those again. So between fork and exec the new process forks once more. The younger one becomes the
//! program; the elder stays what it is, as the one to whom the kernel gives every process whose parents are gone. It
//! ends all that is below it, and then itself, as soon as
//! - the program has ended: it then ends in the same way, so that whoever asks how the program ended is told;
//! - it is told to, by [`end`];
//! - the thread that started it has ended, which is also how a harness that was killed looks from here.
//!
//! It is a fork that never becomes another program, as the one that holds the sockets of the proxies: it makes system calls
//! only, has every signal blocked, and of the descriptors it inherits it keeps none. If it is killed itself, the kernel
//! kills the program.
//!
//! What it cannot end is a process that it may not send signals to, such as one of another user: such a one is given
//! up after [`REAP_LIMIT`].

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::poll::{PollTimeout, poll};
use nix::sys::prctl::{set_child_subreaper, set_dumpable, set_name, set_pdeathsig};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, killpg, sigaction,
    sigprocmask,
};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid, read, setpgid};
use std::io;
use std::time::{Duration, Instant};

/// How long everything below a keeper has to disappear after its SIGKILL.
const REAP_LIMIT: Duration = Duration::from_millis(1500);
/// Between two looks at what is still there, in milliseconds.
const LOOK_EVERY_MS: u16 = 2;
/// How many bytes of the list of its children are read at a time; those beyond are met by the next look.
const LIST_BYTES: usize = 4096;

/// To be called between fork and exec: returns in the process that is to become the program, and the one that called
/// becomes its keeper. `harness` is who forked the caller.
///
/// # Errors
/// The operating system refuses something, or the harness is gone already.
pub(super) fn stand_between(harness: Pid) -> io::Result<()> {
    // First, because from here on the end of the harness is told by a signal.
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None)?;
    set_pdeathsig(Signal::SIGTERM)?;
    check_parent(harness)?;
    set_child_subreaper(true)?;
    let keeper = getpid();
    // SAFETY: this process has one thread, because it was forked and has not been exec'd, and both of the two that it
    // becomes make system calls only until their exec or their end.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => watch(child),
        ForkResult::Child => {
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            set_pdeathsig(Signal::SIGKILL)?;
            check_parent(keeper)
        }
    }
}

/// Has a keeper end all that it keeps, and itself. `pid` is that of a child which is not reaped yet.
pub(super) fn end(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        // It can fail only where there is nobody any more.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// If that is not the parent, it died before its death could be told.
fn check_parent(parent: Pid) -> io::Result<()> {
    if getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
}

/// The life of a keeper.
fn watch(program: Pid) -> ! {
    // The harness waits for the end of one of these, and whoever reads from the program for the end of another.
    // SAFETY: numbers only. Nothing of this process uses what is closed: it knows no descriptor.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) };
    let _ = set_name(c"keeper");
    let ended = if closed == 0 { await_end(program) } else { None };
    if ended.is_none() {
        // It is not reaped, so its number is its own, and that of its group.
        let _ = killpg(program, Signal::SIGKILL);
    }
    end_everything();
    if let Some(WaitStatus::Signaled(_, signal, _)) = ended {
        end_by(signal);
    }
    let code = if let Some(WaitStatus::Exited(_, code)) = ended { code } else { 1 };
    // SAFETY: ends this fork alone and at once, without running what the harness has registered for its own end.
    unsafe { libc::_exit(code) }
}

/// How the program ended; none if it is to be ended.
fn await_end(program: Pid) -> Option<WaitStatus> {
    let mut news = SigSet::empty();
    news.add(Signal::SIGCHLD);
    news.add(Signal::SIGTERM);
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {
                // What became of a child since it was asked is still to be told: its signal is blocked and waits.
                if news.wait() != Ok(Signal::SIGCHLD) {
                    return None;
                }
            }
            Ok(status) if status.pid() == Some(program) => return Some(status),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Kills and reaps until nothing is left below this process, or what is left cannot be ended.
fn end_everything() {
    let deadline = Instant::now() + REAP_LIMIT;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return,
            Ok(WaitStatus::StillAlive) => {
                if Instant::now() >= deadline {
                    return;
                }
                kill_children();
                let _ = poll(&mut [], PollTimeout::from(LOOK_EVERY_MS));
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Sends SIGKILL to the processes whose parent this one is, inherited ones included. Theirs become its own by that.
fn kill_children() {
    let mut list = [0; LIST_BYTES];
    let Ok(file) = open(c"/proc/thread-self/children", OFlag::O_RDONLY, Mode::empty()) else {
        return;
    };
    let count = read(&file, &mut list).unwrap_or(0);
    let mut pid = 0_i32;
    for byte in &list[..count] {
        match byte {
            b'0'..=b'9' => pid = pid.wrapping_mul(10).wrapping_add(i32::from(byte - b'0')),
            // Each number is followed by a space; one that is cut off is not.
            _ if pid > 1 => {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                pid = 0;
            }
            _ => pid = 0,
        }
    }
}

/// Ends this process by a signal, as the program was. Where the signal does not, the caller goes on.
fn end_by(signal: Signal) {
    // There is nothing to be learnt from a dump of this process.
    let _ = set_dumpable(false);
    let usual = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action is no code of ours.
    let _ = unsafe { sigaction(signal, &usual) };
    let _ = kill(getpid(), signal);
    let only = SigSet::from_iter([signal]);
    let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&only), None);
}
