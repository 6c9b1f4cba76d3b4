//! Descriptors that travel from one process to another, with a few bytes (`SCM_RIGHTS`).
//!
//! The sender is a process that may not allocate, so it packs its message on the stack.

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors one message carries here.
pub(super) const MOST: usize = 16;

/// Room for the descriptors of one message and its header, aligned as the header must be.
const CONTROL_WORDS: usize = 2 + MOST / 2;

/// Sends `text` with at most [`MOST`] descriptors, which stay open here. Makes one system call and no allocation.
pub(super) fn send(socket: BorrowedFd<'_>, text: &[u8], rights: &[RawFd]) -> nix::Result<()> {
    if rights.len() > MOST {
        return Err(Errno::E2BIG);
    }
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() };
    // SAFETY: numbers and pointers only, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if !rights.is_empty() {
        let bytes = size_of_val(rights);
        // SAFETY: arithmetic only, on at most 64 bytes.
        let (space, length) = unsafe {
            (libc::CMSG_SPACE(bytes as libc::c_uint), libc::CMSG_LEN(bytes as libc::c_uint))
        };
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = space as _;
        // SAFETY: `control` is aligned for the header and holds it and MOST descriptors, which is what `space` is at
        // most; so the header is there, and the place behind it has room for `bytes`.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = length as _;
            let place = libc::CMSG_DATA(header);
            std::ptr::copy_nonoverlapping(rights.as_ptr().cast::<u8>(), place, bytes);
        }
    }
    // SAFETY: everything `message` points to lives until the call has returned, and the kernel only reads it.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    Errno::result(sent).map(drop)
}

/// One message: how many bytes of `text` it had, none if the other end is gone, and its descriptors, which are closed at exec.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    text: &mut [u8],
) -> nix::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; MOST]);
    let mut parts = [IoSliceMut::new(text)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let mut rights = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = part {
            // SAFETY: the kernel has just opened them for this process, and nobody else knows them.
            rights.extend(descriptors.into_iter().map(|one| unsafe { OwnedFd::from_raw_fd(one) }));
        }
    }
    Ok((message.bytes, rights))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use nix::sys::stat::fstat;
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_arrive_in_order_with_their_text() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, other) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        for count in [0, 1, 3, MOST] {
            let pipes: Vec<_> = (0..count).map(|_| std::io::pipe().unwrap()).collect();
            let raw: Vec<RawFd> = pipes.iter().map(|(_, write)| write.as_raw_fd()).collect();
            send(one.as_fd(), b"text", &raw).unwrap();
            let mut text = [0; 8];
            let (bytes, rights) = receive(other.as_fd(), &mut text).unwrap();
            assert_eq!((&text[..bytes], rights.len()), (&b"text"[..], count));
            for (right, (_, write)) in rights.iter().zip(&pipes) {
                let [arrived, sent] =
                    [right.as_fd(), write.as_fd()].map(|one| fstat(one).unwrap().st_ino);
                assert_eq!(arrived, sent);
            }
        }
        assert_eq!(send(one.as_fd(), b"text", &[0; MOST + 1]), Err(Errno::E2BIG));
        drop(one);
        assert_eq!(receive(other.as_fd(), &mut [0; 8]).unwrap().0, 0, "nobody is there any more");
    }
}
