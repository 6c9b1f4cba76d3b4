//! Mounts that nobody else sees: a mount namespace of one's own, in which a process may mount FUSE.
//!
//! A mount in it is gone when the last process in it is, however those end, so nothing can be left behind. Root enters
//! one as it is; everybody else enters a user namespace first, in which he is himself, where the kernel allows that.
//!
//! A thread of a process with several may enter one as root only.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What [`probe`] needs, in a few words.
pub const NEEDS: &str = "FUSE and a mount namespace";
/// What to do where that is missing.
const HINT: &str = "run as root, or allow user namespaces and reading and writing /dev/fuse";

/// What is to be known before a namespace can be entered, because it needs memory: after a fork there must be no
/// allocation.
#[derive(Clone, Debug)]
pub struct Entry {
    uid_map: String,
    gid_map: String,
}

impl Entry {
    /// For the user that this process is.
    #[must_use]
    pub fn new() -> Self {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        Self { uid_map: format!("{uid} {uid} 1"), gid_map: format!("{gid} {gid} 1") }
    }

    /// Enters a mount namespace of its own, whose mounts nobody else sees. Makes system calls only.
    ///
    /// # Errors
    /// The kernel does not allow it.
    pub fn enter(&self) -> nix::Result<()> {
        self.leave(CloneFlags::CLONE_NEWNS)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
    }

    /// Leaves the namespaces of these kinds for new ones; who may not do that enters a user namespace with them, in
    /// which he may. Tells whether that was so. Makes system calls only.
    pub(crate) fn leave(&self, kinds: CloneFlags) -> nix::Result<bool> {
        match unshare(kinds) {
            Err(Errno::EPERM) => {
                unshare(CloneFlags::CLONE_NEWUSER | kinds)?;
                set("/proc/self/setgroups", "deny")?;
                set("/proc/self/uid_map", &self.uid_map)?;
                set("/proc/self/gid_map", &self.gid_map)?;
                Ok(true)
            }
            other => other.map(|()| false),
        }
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self::new()
    }
}

fn set(file: &str, text: &str) -> nix::Result<()> {
    let file = open(file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::write(&file, text.as_bytes()).map(drop)
}

/// Mounts a FUSE file system at `place` and returns its end of it, which does not block. Makes system calls only.
///
/// # Errors
/// There is no FUSE, or no permission to mount.
pub fn mount_fuse(place: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let device = open("/dev/fuse", flags, Mode::empty())?;
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let mut text = [0_u8; 96];
    let mut left = &mut text[..];
    let fd = device.as_raw_fd();
    write!(left, "fd={fd},rootmode=40000,user_id={uid},group_id={gid}")
        .map_err(|_| Errno::E2BIG)?;
    let length = 96 - left.len();
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("harness"), place, Some("fuse"), flags, Some(&text[..length]))?;
    Ok(device)
}

/// Whether this machine lets a process mount FUSE in a namespace of its own, found out by doing it in a child that
/// ends at once, and the mount with it.
///
/// # Errors
/// What it does not let, and what to do about it.
pub fn probe() -> Result<(), String> {
    if !Path::new("/dev/fuse").exists() {
        return Err(format!("there is no /dev/fuse; {HINT}"));
    }
    let entry = Entry::new();
    let place = std::env::temp_dir();
    let mut command = Command::new("/proc/self/exe");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let attempt = move || -> std::io::Result<()> {
        entry.enter().and_then(|()| mount_fuse(&place)).map(drop)?;
        // It could: the error keeps the child from starting the program.
        Err(Errno::ECANCELED.into())
    };
    // SAFETY: the closure runs between fork and exec in a process of one thread and only makes system calls: paths and
    // texts are there already and short enough for the stack.
    unsafe { command.pre_exec(attempt) };
    match command.spawn() {
        Err(error) if error.raw_os_error() == Some(Errno::ECANCELED as i32) => Ok(()),
        Err(error) => Err(format!("FUSE cannot be mounted here ({error}); {HINT}")),
        Ok(mut child) => {
            // It cannot be: the closure never lets it start.
            let _ = child.kill();
            let _ = child.wait();
            Err("the probe of FUSE came to nothing".to_owned())
        }
    }
}
