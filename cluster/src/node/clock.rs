//! The clocks that leases are timed with (`raft::lease`). Nothing else in a node asks what time it is.
//!
//! The steady one is Linux's `CLOCK_BOOTTIME`: unlike the monotonic clock of timers it goes on while the machine is
//! suspended, so that a leader that slept does not wake up with a lease. A follower's timers stand still while it
//! sleeps, and so only keep it from voting for longer. A hypervisor that stops all clocks of a machine breaks what
//! was declared of them, and with it lease reads.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::raft::Now;

/// What both clocks say.
pub(super) fn now() -> Now {
    let steady =
        clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had this clock since 2.6.39");
    let steady = std::time::Duration::from(steady);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Now { steady: micros(steady), wall: micros(wall) }
}
