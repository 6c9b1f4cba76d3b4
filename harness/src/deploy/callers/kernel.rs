//! Asks the kernel which socket is at one end of a connection, over netlink (`sock_diag`, linux/inet_diag.h).
//!
//! One request of 72 bytes, one answer; the kernel looks in its hash table, so the cost does not grow with the number of
//! sockets. The structs are written and read by hand, field by field. A question by IPv4 also finds a socket of IPv6
//! that is connected over IPv4, and is answered in the terms of that one.
//!
//! Where there is no such connection the kernel looks for a socket that *listens* at the address, which is somebody
//! else; so an answer counts only if both its ends are those that were asked for.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

/// How long the kernel may take, in milliseconds; it answers within `send`.
const LIMIT_MS: i64 = 1000;
/// How many answers to earlier questions are passed over.
const STALE: usize = 8;

const HEADER_BYTES: usize = 16;
/// `struct inet_diag_req_v2` and `struct inet_diag_msg`.
const REQUEST_BYTES: usize = 56;
const ANSWER_BYTES: usize = 72;
/// Where the inode stands in the latter.
const INODE_AT: usize = 68;

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `INET_DIAG_NOCOOKIE`, both words of it.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// A socket over which the kernel is asked.
#[derive(Debug)]
pub(super) struct Kernel {
    socket: OwnedFd,
    sequence: u32,
}

impl Kernel {
    /// # Errors
    /// The kernel has no such protocol, or does not let this process use it.
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(LIMIT_MS))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The inode of the socket that is at `local` and connected to `remote`; none if there is no such socket, or it
    /// belongs to no process any more.
    ///
    /// # Errors
    /// The kernel refuses to say, or says something else.
    pub(super) fn inode(
        &mut self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
    ) -> io::Result<Option<u64>> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(self.sequence, local, remote);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut answer = [0; 4096];
        for _ in 0..STALE {
            let bytes = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
            if let Some(said) = parse(&answer[..bytes], self.sequence)? {
                let ends = [SocketAddr::from(local), remote.into()];
                return Ok(said
                    .filter(|said| said.ends == ends && said.inode != 0)
                    .map(|s| s.inode));
            }
        }
        Err(wrong("it answers other questions"))
    }
}

fn request(sequence: u32, local: SocketAddrV4, remote: SocketAddrV4) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + REQUEST_BYTES);
    let length = (HEADER_BYTES + REQUEST_BYTES) as u32;
    bytes.extend(length.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    // Family, protocol, extensions, padding; then every state.
    let [family, protocol] = [libc::AF_INET, libc::IPPROTO_TCP].map(|n| n as u8);
    bytes.extend([family, protocol, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(remote.port().to_be_bytes());
    for address in [local.ip(), remote.ip()] {
        bytes.extend(address.octets());
        bytes.extend([0; 12]);
    }
    // On any device.
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(NO_COOKIE);
    bytes
}

/// What the kernel said of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    ends: [SocketAddr; 2],
    inode: u64,
}

/// One message of the kernel: none if it answers another question, and within it none if there is no such socket.
fn parse(message: &[u8], sequence: u32) -> io::Result<Option<Option<Said>>> {
    let word = |at: usize| Some(u32::from_ne_bytes(message.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_ne_bytes(message.get(at..at + 2)?.try_into().ok()?));
    let header = || Some((word(0)? as usize, half(4)?, word(8)?));
    let (length, kind, of) = header().ok_or_else(|| wrong("less than a header"))?;
    if of != sequence {
        return Ok(None);
    }
    if !(HEADER_BYTES..=message.len()).contains(&length) {
        return Err(wrong("a length that is not that of its message"));
    }
    let body = &message[HEADER_BYTES..length];
    match kind {
        ERROR => {
            match body.get(..4).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes) {
                Some(code) if code == -(Errno::ENOENT as i32) => Ok(Some(None)),
                Some(code @ ..0) => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
                _ => Err(wrong("an error that is none")),
            }
        }
        BY_FAMILY => {
            said(body).map(|said| Some(Some(said))).ok_or_else(|| wrong("no whole socket"))
        }
        _ => Err(wrong("a message of another kind")),
    }
}

/// `struct inet_diag_msg`: four bytes, then the ports, the two addresses of 16 bytes, device, cookie, four words, inode.
fn said(body: &[u8]) -> Option<Said> {
    if body.len() < ANSWER_BYTES {
        return None;
    }
    let port = |at: usize| Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?));
    let address = |at: usize| {
        let octets: [u8; 16] = body.get(at..at + 16)?.try_into().ok()?;
        let [a, b, c, d, ..] = octets;
        match i32::from(body[0]) {
            libc::AF_INET => Some(IpAddr::from(Ipv4Addr::new(a, b, c, d))),
            libc::AF_INET6 => Some(Ipv6Addr::from(octets).to_canonical()),
            _ => None,
        }
    };
    let ends = [(8, 4), (24, 6)];
    let [local, remote] = ends.map(|(ip, p)| Some(SocketAddr::new(address(ip)?, port(p)?)));
    let inode = body.get(INODE_AT..INODE_AT + 4)?.try_into().ok()?;
    Some(Said { ends: [local?, remote?], inode: u32::from_ne_bytes(inode).into() })
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("sock_diag: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, SockaddrIn6, bind, connect, getsockname, listen};
    use nix::sys::stat::fstat;
    use std::net::{SocketAddrV6, TcpListener, TcpStream};

    fn v4(address: io::Result<SocketAddr>) -> SocketAddrV4 {
        match address.unwrap() {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(address) => panic!("{address}"),
        }
    }

    fn inode(socket: &impl std::os::fd::AsFd) -> u64 {
        fstat(socket).unwrap().st_ino
    }

    /// A message as the kernel would write it, about n2's end of a call to n1.
    fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER_BYTES + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    fn body() -> Vec<u8> {
        let mut body = vec![2, 1, 0, 0, 0x9c, 0x40, 0x09, 0x4c];
        body.extend([127, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        body.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        body.resize(INODE_AT, 0);
        body.extend(77_u32.to_ne_bytes());
        body
    }

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let whole = message(BY_FAMILY, 5, &body());
        let ends = ["127.0.0.2:40000", "127.0.0.1:2380"].map(|end| end.parse().unwrap());
        assert_eq!(parse(&whole, 5).unwrap(), Some(Some(Said { ends, inode: 77 })));
        assert_eq!(parse(&whole, 6).unwrap(), None, "of another question");
        for length in 0..whole.len() {
            assert!(parse(&whole[..length], 5).is_err(), "{length} bytes");
        }
        // It says itself that it is shorter, or longer.
        for length in [0, 15, 16, 87, 89] {
            let mut other = whole.clone();
            other[..4].copy_from_slice(&u32::to_ne_bytes(length));
            assert!(parse(&other, 5).is_err(), "it says {length}");
        }
        let mut other = whole.clone();
        other[HEADER_BYTES] = 1;
        assert!(parse(&other, 5).is_err(), "of another family");
        assert!(parse(&message(3, 5, &body()), 5).is_err(), "the end of a list");
    }

    #[test]
    fn an_error_is_an_error_but_for_one() {
        let refused = |code: i32| parse(&message(ERROR, 1, &code.to_ne_bytes()), 1);
        assert_eq!(refused(-(Errno::ENOENT as i32)).unwrap(), Some(None));
        let error = refused(-(Errno::EPERM as i32)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(refused(0).is_err() && refused(1).is_err() && refused(i32::MIN).is_err());
        assert!(parse(&message(ERROR, 1, &[0, 0]), 1).is_err());
    }

    #[test]
    fn each_end_of_a_connection_is_its_own_socket() {
        let listener = TcpListener::bind("127.0.0.3:0").unwrap();
        let at = v4(listener.local_addr());
        let caller = TcpStream::connect(at).unwrap();
        let from = v4(caller.local_addr());
        let mut kernel = Kernel::open().unwrap();
        assert_eq!(kernel.inode(from, at).unwrap(), Some(inode(&caller)));
        assert_eq!(kernel.inode(at, from).unwrap(), None, "nobody has accepted it");
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(kernel.inode(at, from).unwrap(), Some(inode(&accepted)));
        // The one that listens is not taken for one that is connected.
        let stranger = SocketAddrV4::new(*from.ip(), from.port() ^ 1);
        assert_eq!(kernel.inode(at, stranger).unwrap(), None);
        drop(caller);
        assert_eq!(kernel.inode(from, at).unwrap(), None, "it is gone");
    }

    #[test]
    fn a_caller_that_speaks_ipv6_is_found_too() {
        let listener = TcpListener::bind("127.0.0.3:0").unwrap();
        let at = v4(listener.local_addr());
        // No IPv6 on this machine, no such caller.
        let Ok(caller) =
            socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        else {
            return;
        };
        let mapped = SocketAddrV6::new(at.ip().to_ipv6_mapped(), at.port(), 0, 0);
        connect(caller.as_raw_fd(), &SockaddrIn6::from(mapped)).unwrap();
        let from: SockaddrIn6 = getsockname(caller.as_raw_fd()).unwrap();
        let from = SocketAddrV4::new(from.ip().to_ipv4_mapped().unwrap(), from.port());
        assert_eq!(Kernel::open().unwrap().inode(from, at).unwrap(), Some(inode(&caller)));
    }

    #[test]
    fn an_unaccepted_call_has_a_caller() {
        let listener =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        bind(listener.as_raw_fd(), &nix::sys::socket::SockaddrIn::from(any)).unwrap();
        listen(&listener, Backlog::MAXCONN).unwrap();
        let at = v4(TcpListener::from(listener.try_clone().unwrap()).local_addr());
        let caller = TcpStream::connect(at).unwrap();
        let from = v4(caller.local_addr());
        assert_eq!(Kernel::open().unwrap().inode(from, at).unwrap(), Some(inode(&caller)));
    }
}
