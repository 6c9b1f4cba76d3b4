//! The kernel's table of TCP sockets of one network, as `/proc/<process>/net/tcp` and `tcp6` show it.
//!
//! IPv4 in the clothes of IPv6 is IPv4 here, so that the two ends of a connection mirror each other whatever each of them
//! is. A line that is not understood is an error: a table that is half read shows no leak either.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: State,
    /// By which processes hold it; 0 for one that nobody has accepted yet, or nobody holds any more.
    pub(super) inode: u64,
}

/// What a socket does, as far as it matters who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It waits for calls.
    Listening,
    /// It calls, or is connected.
    Connected,
    /// It is on its way out.
    Ending,
}

/// Every line of a table but its heading.
///
/// # Errors
/// The line that is not one of a table.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let line = |line: &str| entry(line).ok_or_else(|| format!("`{}` is no socket", line.trim()));
    text.lines().skip(1).map(line).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let state = match *fields.get(3)? {
        "0A" => State::Listening,
        "01" | "02" | "03" => State::Connected,
        _ => State::Ending,
    };
    let (local, remote) = (address(fields.get(1)?)?, address(fields.get(2)?)?);
    Some(Entry { local, remote, state, inode: fields.get(9)?.parse().ok()? })
}

/// The kernel prints an address as words of 32 bits in the order of this machine, and a port as the number it is.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = host.get(8 * at..8 * at + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let host = match host.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (at, place) in octets.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(octets).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(host, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::{State, parse};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    /// What this kernel says of sockets of our own.
    fn own(file: &str) -> Vec<super::Entry> {
        parse(&std::fs::read_to_string(format!("/proc/self/net/{file}")).unwrap()).unwrap()
    }

    #[test]
    fn the_ends_of_a_connection_mirror_each_other() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let here = TcpStream::connect(at).unwrap();
        let from = here.local_addr().unwrap();
        let find = |local: SocketAddr, remote: SocketAddr| {
            let found = own("tcp").into_iter().find(|e| (e.local, e.remote) == (local, remote));
            found.unwrap_or_else(|| panic!("{local} to {remote}"))
        };
        assert_eq!(find(from, at).state, State::Connected);
        assert_eq!(find(at, from).inode, 0, "nobody has accepted it");
        let there = listener.accept().unwrap();
        assert_ne!(find(at, from).inode, 0);
        assert_eq!(find(at, "0.0.0.0:0".parse().unwrap()).state, State::Listening);
        drop(there);
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        // No IPv6 on this machine, no such sockets.
        let Ok(listener) = TcpListener::bind("[::]:0") else { return };
        let port = listener.local_addr().unwrap().port();
        let Ok(here) = TcpStream::connect(("127.0.0.1", port)) else { return };
        let there = listener.accept().unwrap().0;
        let found = own("tcp6").into_iter().find(|entry| {
            entry.remote == here.local_addr().unwrap() && entry.state == State::Connected
        });
        assert_eq!(found.unwrap().local, SocketAddr::from(([127, 0, 0, 1], port)));
        drop(there);
    }

    #[test]
    fn a_line_that_is_no_socket_is_an_error() {
        let heading = "  sl  local_address rem_address   st\n";
        assert_eq!(parse(heading), Ok(Vec::new()));
        for line in ["nonsense", "0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 inode", "0: 01:1"]
        {
            assert!(parse(&format!("{heading}{line}\n")).is_err(), "{line}");
        }
    }
}
