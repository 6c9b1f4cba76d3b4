//! The loopback device of a new network namespace: up, and with the addresses of the nodes.
//!
//! Two kinds of message to the kernel (rtnetlink), written by hand because they are sent by a process that may not
//! allocate. Nothing here does.

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

/// In a new namespace it is the first and only device.
const DEVICE: [u8; 4] = 1_u32.to_ne_bytes();
/// Of a message: length, kind, flags, number, sender.
const HEADER_BYTES: usize = 16;

/// Brings the loopback device of this process's namespace up and gives it these addresses, each alone (`/32`).
pub(super) fn prepare(addresses: &[Ipv4Addr]) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    ask(&kernel, &up())?;
    for &address in addresses {
        ask(&kernel, &with_address(address))?;
    }
    Ok(())
}

/// Sends a message and waits for the answer, which the kernel has given when `send` returns.
fn ask(kernel: &OwnedFd, message: &[u8]) -> nix::Result<()> {
    send(kernel.as_raw_fd(), message, MsgFlags::empty())?;
    let mut answer = [0_u8; 128];
    let bytes = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    let error = answer[..bytes].get(HEADER_BYTES..HEADER_BYTES + 4);
    let error: [u8; 4] = error.and_then(|error| error.try_into().ok()).ok_or(Errno::EPROTO)?;
    match i32::from_ne_bytes(error) {
        0 => Ok(()),
        error => Err(Errno::from_raw(-error)),
    }
}

/// `RTM_NEWLINK` that sets `IFF_UP`.
fn up() -> [u8; HEADER_BYTES + 16] {
    let mut message = [0; HEADER_BYTES + 16];
    head(&mut message, libc::RTM_NEWLINK, 0);
    // Family and kind of device stay 0; then the device, its flags, and which of them change.
    let up = (libc::IFF_UP as u32).to_ne_bytes();
    message[20..24].copy_from_slice(&DEVICE);
    message[24..28].copy_from_slice(&up);
    message[28..32].copy_from_slice(&up);
    message
}

/// `RTM_NEWADDR` for an address that is this machine's own and nobody's neighbour.
fn with_address(address: Ipv4Addr) -> [u8; HEADER_BYTES + 24] {
    let mut message = [0; HEADER_BYTES + 24];
    head(&mut message, libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
    message[16..20].copy_from_slice(&[libc::AF_INET as u8, 32, 0, libc::RT_SCOPE_HOST]);
    message[20..24].copy_from_slice(&DEVICE);
    for (at, kind) in [(24, libc::IFA_LOCAL), (32, libc::IFA_ADDRESS)] {
        message[at..at + 2].copy_from_slice(&8_u16.to_ne_bytes());
        message[at + 2..at + 4].copy_from_slice(&kind.to_ne_bytes());
        message[at + 4..at + 8].copy_from_slice(&address.octets());
    }
    message
}

fn head(message: &mut [u8], kind: u16, flags: libc::c_int) {
    let length = message.len() as u32;
    let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&flags.to_ne_bytes());
}
