//! When the bytes of a slow direction are due: delay, jitter and stalls, a limited rate, small writes.
//!
//! Times only ever grow along a direction, so nothing overtakes. The rate is that of the link: its connections
//! queue behind each other, as they would on a wire.

use super::board::{Board, Standing, Way};
use crate::pace::{Pace, SLOT};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// A limited rate is passed on in so many pieces a second, so that it is even and not in lumps.
const PIECES_PER_SECOND: u64 = 50;

/// The clock of one slow direction.
#[derive(Debug)]
pub(super) struct Pacer {
    lane: u32,
    /// When what was sent last is due.
    last: Option<Instant>,
    /// When the link's last byte will have left; none where its rate is not limited.
    busy_until: Option<Rc<Cell<Instant>>>,
}

impl Pacer {
    pub(super) fn new(way: Way, standing: &Standing, board: &Board) -> Self {
        let mut pacer = Self { lane: way.lane(), last: None, busy_until: None };
        pacer.follow(standing, board);
        pacer
    }

    /// Follows a new plan.
    pub(super) fn follow(&mut self, standing: &Standing, board: &Board) {
        let limited = standing.rule.pace.bytes_per_second > 0;
        self.busy_until = limited.then(|| board.busy_until(self.lane));
        if !standing.rule.is_slow() {
            self.last = None;
        }
    }

    /// When something that leaves then arrives.
    pub(super) fn due(&mut self, standing: &Standing, leaves: Instant) -> Instant {
        let rule = &standing.rule;
        let slot =
            standing.since.map_or(0, |since| (leaves - since).as_millis() / SLOT.as_millis());
        let slot = u64::try_from(slot).unwrap_or(u64::MAX);
        let due = leaves + rule.delay + rule.pace.extra(self.lane, slot);
        self.last = self.last.max(Some(due));
        self.last.unwrap_or(due)
    }

    /// How many of these bytes go next, and when they are due.
    pub(super) fn piece(
        &mut self,
        standing: &Standing,
        bytes: usize,
        now: Instant,
    ) -> (usize, Instant) {
        let pace = &standing.rule.pace;
        let size = bytes.min(largest_piece(pace));
        let leaves = self.busy_until.as_ref().map_or(now, |busy_until| {
            let seconds = size as f64 / pace.bytes_per_second as f64;
            busy_until.set(busy_until.get().max(now) + Duration::from_secs_f64(seconds));
            busy_until.get()
        });
        let due = self.due(standing, leaves);
        let pause = if pace.slice_bytes > 0 { pace.slice_pause } else { Duration::ZERO };
        self.last = Some(due + pause);
        (size, due)
    }
}

fn largest_piece(pace: &Pace) -> usize {
    let evenly = pace.bytes_per_second.div_ceil(PIECES_PER_SECOND);
    let limits = [evenly, u64::from(pace.slice_bytes)];
    let least = limits.into_iter().filter(|&limit| limit > 0).min();
    usize::try_from(least.unwrap_or(u64::MAX)).unwrap_or(usize::MAX)
}
