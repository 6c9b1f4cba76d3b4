//! One direction of one connection: bytes that were read and wait to be written, in order, and the end
//! of the stream behind them.
//!
//! [`Flow::step`] does everything that can be done now and never waits. It looks at the plan before
//! every single write, and since a plan can only change between two steps, no write follows a plan
//! that holds it. Over a link that is not slow, what is read is written in the same step, without a copy.
//!
//! | state | reads | writes |
//! |---|---|---|
//! | delivering | while the queue has room | what is due |
//! | held | one chunk, if none waits | nothing, no FIN and no RST either |
//! | ended (FIN or RST read, or reset by a heal) | no | what is due, then the end |
//! | done | no | no |

use super::board::{Board, Standing, Way};
use super::pacer::Pacer;
use super::shared::Passed;
use super::side::Side;
use super::tally::{Tally, add, count, subtract};
use crate::random::Random;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How much is read at once, and at most over a held link.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// How much may wait in the queue of a delayed direction.
const QUEUE_BYTES: usize = 1024 * 1024;
/// How much may wait where a limit of the rate lets little through: more would only wait longer.
const PACED_QUEUE_BYTES: usize = 64 * 1024;
/// Sets the draws of mixed heals apart from those of the pace.
const MIXED: u64 = 0x6d69_7865_6420_6865;
/// How many reads one step does before it lets other connections have a turn.
const READS_PER_STEP: usize = 8;

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// In order: FIN.
    Finish,
    /// By reset: RST.
    Reset,
}

/// What a flow waits for after a step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wants {
    /// Its sender has something.
    pub(super) read: bool,
    /// Its receiver has room.
    pub(super) write: bool,
    /// The time has come to deliver.
    pub(super) wake: Option<Instant>,
    /// Nothing: there was more to do, but others should have a turn.
    pub(super) again: bool,
}

#[derive(Debug)]
struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
    written: usize,
    /// When it was read and how late it should be, if the link was slow then.
    slow: Option<(Instant, Duration)>,
}

/// One direction of one connection.
#[derive(Debug)]
pub(super) struct Flow {
    way: Way,
    tally: Arc<Tally>,
    standing: Standing,
    epoch: u64,
    pacer: Pacer,
    /// Names its connection in draws.
    lot: u64,
    /// Where its client counts it by itself: what is passed on to the node is 0, to the client 1.
    passed: Option<(Passed, usize)>,
    queue: VecDeque<Chunk>,
    queued: usize,
    end: Option<(Instant, End)>,
    done: Option<End>,
}

impl Flow {
    pub(super) fn new(way: Way, lot: u64, passed: Option<Passed>, board: &Board) -> Self {
        let standing = board.standing(way);
        let place = usize::from(!matches!(way, Way::Client { inward: true, .. }));
        Self {
            way,
            tally: Arc::clone(board.shared().tally(way)),
            pacer: Pacer::new(way, &standing, board),
            standing,
            epoch: board.epoch(),
            lot,
            passed: passed.map(|passed| (passed, place)),
            queue: VecDeque::new(),
            queued: 0,
            end: None,
            done: None,
        }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How it has ended, once its receiver knows.
    pub(super) fn done(&self) -> Option<End> {
        self.done
    }

    /// Whether nothing may be passed on now.
    pub(super) fn holds(&self) -> bool {
        self.standing.rule.holds()
    }

    /// Looks at the plan again if it has changed; true if a heal has reset the connection meanwhile.
    pub(super) fn refresh(&mut self, board: &Board) -> bool {
        if self.epoch == board.epoch() {
            return false;
        }
        self.epoch = board.epoch();
        let before = std::mem::replace(&mut self.standing, board.standing(self.way));
        self.pacer.follow(&self.standing, board);
        if self.holds() && !before.rule.holds() {
            add(&self.tally.held, self.queued);
        }
        if before.rule.is_slow() && !self.standing.rule.is_slow() {
            self.hurry();
        }
        let (old, new) = (before.cuts, self.standing.cuts);
        new.all > old.all || new.some > old.some && self.is_drawn(new.seed)
    }

    /// Whether a mixed heal of this seed resets its connection; the same for both directions.
    fn is_drawn(&self, seed: u64) -> bool {
        Random::new(seed ^ MIXED, self.lot).chance(50)
    }

    /// The link is not slow any more: what waits is due.
    fn hurry(&mut self) {
        let now = Instant::now();
        for chunk in &mut self.queue {
            (chunk.due, chunk.slow) = (now, None);
        }
        if let Some((due, _)) = &mut self.end {
            *due = now;
        }
    }

    /// Ends the stream by reset as soon as the link allows; what waits is lost with it.
    pub(super) fn abort(&mut self, now: Instant) {
        if self.done != Some(End::Reset) && self.end.is_none_or(|(_, end)| end != End::Reset) {
            self.clear();
            self.done = None;
            self.end = Some((now, End::Reset));
        }
    }

    fn clear(&mut self) {
        subtract(&self.tally.waiting, self.queued);
        self.queue.clear();
        self.queued = 0;
    }

    /// Does what can be done now.
    pub(super) fn step(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        board: &Board,
        scratch: &mut [u8],
        now: Instant,
    ) -> Wants {
        debug_assert_eq!(self.epoch, board.epoch(), "refreshed before every step");
        let mut wants = Wants::default();
        for _ in 0..READS_PER_STEP {
            self.drain(to, now, &mut wants);
            if !self.fill(from, to, scratch, now, &mut wants) {
                return wants;
            }
        }
        wants.again = true;
        wants
    }

    /// Writes what is due, and then the end.
    fn drain(&mut self, to: &mut Side, now: Instant, wants: &mut Wants) {
        (wants.write, wants.wake) = (false, None);
        while !self.holds() {
            let Some(chunk) = self.queue.front_mut() else { break };
            if chunk.due > now {
                wants.wake = Some(chunk.due);
                return;
            }
            match to.write(&chunk.bytes[chunk.written..]) {
                Ok(Some(bytes)) => {
                    chunk.written += bytes;
                    let finished = chunk.written == chunk.bytes.len();
                    self.written(bytes);
                    if finished && let Some(chunk) = self.queue.pop_front() {
                        self.note_lateness(&chunk, now);
                    }
                }
                Ok(None) => {
                    wants.write = true;
                    return;
                }
                Err(_) => return self.give_up(),
            }
        }
        self.deliver_end(to, now, wants);
    }

    fn note_lateness(&self, chunk: &Chunk, now: Instant) {
        let Some((read, asked)) = chunk.slow else { return };
        if now > read {
            count(&self.tally.slowed);
        }
        if now < read + asked {
            count(&self.tally.prompt);
        }
    }

    fn deliver_end(&mut self, to: &mut Side, now: Instant, wants: &mut Wants) {
        let Some((due, end)) = self.end else { return };
        if self.holds() || !self.queue.is_empty() || self.done.is_some() {
            return;
        }
        if due > now {
            wants.wake = Some(due);
            return;
        }
        count(&self.tally.ends);
        match end {
            End::Finish => to.finish(),
            End::Reset => to.reset(),
        }
        self.done = Some(end);
    }

    /// Reads once if it may; true if there is something new to write.
    fn fill(
        &mut self,
        from: &mut Side,
        to: &mut Side,
        scratch: &mut [u8],
        now: Instant,
        wants: &mut Wants,
    ) -> bool {
        if self.done.is_some() || self.end.is_some() {
            wants.read = false;
            return self.notice_late_reset(from, now);
        }
        wants.read = self.queued < self.capacity();
        if !wants.read {
            return false;
        }
        let end = match from.read(scratch) {
            Ok(None) => return false,
            Ok(Some(0)) if from.broken => End::Reset,
            Ok(Some(0)) => End::Finish,
            Ok(Some(bytes)) => {
                self.take(&scratch[..bytes], to, now);
                return true;
            }
            Err(_) => End::Reset,
        };
        self.end = Some((self.pacer.due(&self.standing, now), end));
        true
    }

    /// How many bytes may wait before it stops reading.
    fn capacity(&self) -> usize {
        let rule = &self.standing.rule;
        if rule.holds() || !rule.is_slow() {
            1
        } else if rule.pace.bytes_per_second > 0 || rule.pace.slice_bytes > 0 {
            PACED_QUEUE_BYTES
        } else {
            QUEUE_BYTES
        }
    }

    /// A sender whose stream had ended well may turn out to be gone altogether, which its receiver
    /// learns by reset if it still writes. True if that is news.
    fn notice_late_reset(&mut self, from: &Side, now: Instant) -> bool {
        let finishing = self.end.is_some_and(|(_, end)| end == End::Finish);
        let told = self.done == Some(End::Reset);
        let news = from.broken && finishing && !told && self.queue.is_empty();
        if news {
            self.abort(now);
        }
        news
    }

    /// Takes bytes that were read: past the queue where nothing stands before them, else into it.
    fn take(&mut self, mut bytes: &[u8], to: &mut Side, now: Instant) {
        add(&self.tally.read, bytes.len());
        add(&self.tally.waiting, bytes.len());
        self.queued += bytes.len();
        let rule = self.standing.rule;
        if rule.holds() {
            add(&self.tally.held, bytes.len());
        } else if self.queue.is_empty() && !rule.is_slow() {
            match to.write(bytes) {
                Ok(Some(written)) => {
                    self.written(written);
                    bytes = &bytes[written..];
                }
                Ok(None) => {}
                Err(_) => return self.give_up(),
            }
        }
        let slow = rule.is_slow().then_some((now, rule.delay));
        while !bytes.is_empty() {
            let (size, due) = self.pacer.piece(&self.standing, bytes.len(), now);
            let (piece, rest) = bytes.split_at(size);
            self.queue.push_back(Chunk { due, bytes: piece.to_vec(), written: 0, slow });
            bytes = rest;
        }
    }

    fn written(&mut self, bytes: usize) {
        self.queued -= bytes;
        add(&self.tally.forwarded, bytes);
        subtract(&self.tally.waiting, bytes);
        if let Some((passed, place)) = &self.passed {
            add(&passed[*place], bytes);
        }
    }

    /// The receiver is gone: what waits can reach nobody.
    fn give_up(&mut self) {
        self.clear();
        self.done = Some(End::Reset);
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.clear();
    }
}
