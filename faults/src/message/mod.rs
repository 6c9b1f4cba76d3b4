//! Messages that are lost, doubled, late and repeated: the class `message`, and the relays that do it.
//!
//! A relay ends HTTP/2 on both sides: towards the node that dials it is a server, towards the target a client. So
//! what it handles is calls and gRPC messages, never frames, whose header compression and flow control would not survive
//! that. It knows where a message begins and ends and nothing of what is in it; so it works for any system
//! that speaks gRPC without TLS.
//!
//! ```text
//!     n1 ──dials──▶ relay (n1, n2) ──dials──▶ hub port (n1, n2) ──▶ n2
//! ```
//!
//! Only peers are relayed, and only in runs whose plan has the class. A client's call that comes twice would accuse a
//! system without sessions wrongly.
//!
//! **Before the hub.** What a relay keeps back or repeats on the way to the target passes the hub afterwards. So a held link
//! holds it too, and what the hub proves stays true. On the way back nothing is kept, only lost: an answer
//! that is past the hub is passed on as fast as the caller reads, as by a kernel. A dialler whose link is held hangs: a relay
//! answers nobody before the target has answered the relay.
//!
//! **Invariants.** Without a rule in effect a call arrives as it was made: data, order, trailers, errors, resets, and
//! the receiver's pace. With one, each message's fate depends on seed, link and number alone. When the rule ends nothing waits any longer.
//! Everything kept is bounded: calls, connections, messages and bytes that are late or remembered.
//!
//! **What differs from no relay.** Keep-alive pings are answered by the relay, so a dialler does not notice by them that
//! the link is held. A port that refuses is seen as a connection that ends at once, and a reset of a connection
//! (RST) as its end. A message above 1 MiB is carried but never touched.

mod active;
mod call;
mod class;
mod connection;
mod frame;
mod line;
mod relays;
mod replies;
mod requests;
mod rule;
mod wire;

use crate::link::Link;
pub use class::Message;
pub use relays::Relays;
pub use rule::{MessageCounts, MessageRule};
use std::collections::{BTreeMap, BTreeSet};

/// The messages between the nodes, as far as a fault may touch them.
pub trait Messages: Send + Sync {
    /// Puts a rule into effect on the messages of some links, under the number of the fault it belongs to. From now on
    /// every message that arrives follows it. Where several are in effect, the one of the highest number holds.
    fn begin(&self, id: u64, links: BTreeSet<Link>, rule: MessageRule, seed: u64);

    /// Ends the rule: what is late is due now. Says what was done, by link; nothing, if it is not in effect.
    fn end(&self, id: u64) -> BTreeMap<Link, MessageCounts>;

    /// Ends all rules, for `Drop`.
    fn release(&self);
}
