//! Connections to a node, set up so that none of them hangs for longer than an attempt.
//!
//! tonic's own request time-out does not cover waiting for a connection, it reconnects without a
//! pause, and without keepalive nothing notices a silent peer. So connecting has a limit, an idle
//! connection is pinged, every call is wrapped in a time-out by its caller, and a channel that gave
//! anything but a typed answer is dropped for a fresh one.

use std::net::SocketAddr;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// How often a connection is pinged, and how long it may leave a ping unanswered.
const KEEPALIVE: Duration = Duration::from_millis(500);

/// A channel that connects on its first call. Needs a runtime to be entered.
pub(super) fn lazy(address: SocketAddr, connect_limit: Duration) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("a socket address is a valid authority")
        .connect_timeout(connect_limit)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .connect_lazy()
}
