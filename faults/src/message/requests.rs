//! From the caller to the target: where messages are lost, doubled, late and repeated.
//!
//! A message leaves either at once, in order, or at its own time. While it waits others pass it. A request ends
//! when all that waits has left, so nothing is lost but what was to be.
//!
//! Whether a request has one message or is a stream is not known before its second message or its end. So the copy
//! of a first message waits for that: in a stream it follows as one more message, else it is a call of its own.

use super::active::Active;
use super::frame::{Framer, Piece};
use super::line::Line;
use super::wire::{self, Broken};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Messages of one call that may be late at once.
const LATE: usize = 1024;
/// Their bytes.
const LATE_BYTES: usize = 4 << 20;
/// Old messages that may wait to enter a stream.
const REPLAYS: usize = 16;

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The target has all of it that it shall have.
    Sent,
    /// Nothing of it was left: the target never heard of it, and the caller shall hear nothing.
    Swallowed,
}

/// The request of one call.
pub(super) struct Requests {
    line: Arc<Line>,
    head: Arc<Parts>,
    sender: SendRequest<Bytes>,
    body: RecvStream,
    to: SendStream<Bytes>,
    framer: Framer,
    ended: bool,
    /// By when they are due; the number keeps equal times apart.
    late: BTreeMap<(Instant, u64), Late>,
    late_bytes: usize,
    /// Messages that arrived, and those of them that were lost.
    arrived: u64,
    lost: u64,
    /// The copy of the first message.
    copy: Option<(Bytes, Arc<Active>)>,
    replays: Option<mpsc::Receiver<Bytes>>,
    changes: watch::Receiver<u64>,
}

/// A message that waits.
struct Late {
    number: u64,
    message: Bytes,
    active: Arc<Active>,
}

impl Requests {
    pub(super) fn new(
        line: Arc<Line>,
        head: Arc<Parts>,
        sender: SendRequest<Bytes>,
        body: RecvStream,
        to: SendStream<Bytes>,
    ) -> Self {
        let (framer, changes) = (Framer::of(&head.headers), line.rules.changes());
        let ended = body.is_end_stream();
        Self {
            line,
            head,
            sender,
            body,
            to,
            framer,
            ended,
            late: BTreeMap::new(),
            late_bytes: 0,
            arrived: 0,
            lost: 0,
            copy: None,
            replays: None,
            changes,
        }
    }

    /// Passes everything on until the request has ended.
    pub(super) async fn pass_on(&mut self) -> Result<Ended, Broken> {
        if self.ended {
            return Ok(Ended::Sent);
        }
        let passed = self.pump().await;
        if let Err(Broken::Reset(reason)) = &passed {
            self.to.send_reset(*reason);
        }
        passed
    }

    async fn pump(&mut self) -> Result<Ended, Broken> {
        loop {
            if self.ended && self.late.is_empty() {
                return self.finish().await;
            }
            let due = self.late.first_key_value().map(|(&(due, _), _)| due);
            let room = self.late.len() < LATE && self.late_bytes < LATE_BYTES;
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.send_late().await?;
                }
                // The sender lives as long as the line.
                _ = self.changes.changed() => self.hasten(),
                Some(message) = replay(&mut self.replays) => self.send_old(message).await?,
                data = wire::next(&mut self.body), if !self.ended && room => match data? {
                    Some(data) => self.take(&data).await?,
                    None => self.ended = true,
                },
            }
        }
    }

    async fn take(&mut self, data: &[u8]) -> Result<(), Broken> {
        self.framer.push(data);
        while let Some(piece) = self.framer.next() {
            match piece {
                Piece::Message(message) => self.message(message).await?,
                Piece::Part(bytes) => wire::send(&mut self.to, bytes).await?,
            }
        }
        Ok(())
    }

    async fn message(&mut self, message: Bytes) -> Result<(), Broken> {
        self.arrived += 1;
        if self.arrived == 2 {
            let (way, replays) = mpsc::channel(REPLAYS);
            self.line.is_stream(self.head.uri.path(), way);
            self.replays = Some(replays);
            if let Some((copy, active)) = self.copy.take() {
                self.send_copy(copy, &active).await?;
            }
        }
        let number = self.line.arrived(&self.head, &message);
        let link = self.line.link;
        let Some(active) = self.line.rules.of(link) else {
            self.line.passed(self.head.uri.path(), number);
            return wire::send(&mut self.to, message).await;
        };
        let fate = active.fate(link, number);
        if fate.drop {
            self.lost += 1;
            active.count(link, |counts| counts.dropped_requests += 1);
            return Ok(());
        }
        let copy = fate.duplicate.then(|| message.clone());
        if fate.delay.is_zero() {
            self.line.passed(self.head.uri.path(), number);
            wire::send(&mut self.to, message).await?;
        } else {
            self.late_bytes += message.len();
            let late = Late { number, message, active: Arc::clone(&active) };
            self.late.insert((Instant::now() + fate.delay, number), late);
        }
        match copy {
            Some(copy) if self.arrived == 1 => self.copy = Some((copy, active)),
            Some(copy) => self.send_copy(copy, &active).await?,
            None => {}
        }
        Ok(())
    }

    /// Sends the late message that is due first.
    async fn send_late(&mut self) -> Result<(), Broken> {
        let Some((_, late)) = self.late.pop_first() else { return Ok(()) };
        self.late_bytes -= late.message.len();
        let overtaken = self.line.passed(self.head.uri.path(), late.number);
        wire::send(&mut self.to, late.message).await?;
        late.active.count(self.line.link, |counts| {
            counts.delayed += 1;
            counts.reordered += u64::from(overtaken);
        });
        Ok(())
    }

    async fn send_copy(&mut self, copy: Bytes, active: &Active) -> Result<(), Broken> {
        wire::send(&mut self.to, copy).await?;
        active.count(self.line.link, |counts| counts.duplicated += 1);
        Ok(())
    }

    async fn send_old(&mut self, message: Bytes) -> Result<(), Broken> {
        let Some(active) = self.line.rules.of(self.line.link) else { return Ok(()) };
        wire::send(&mut self.to, message).await?;
        active.count(self.line.link, |counts| counts.replayed += 1);
        Ok(())
    }

    /// Where no rule is in effect any more, nothing waits any longer.
    fn hasten(&mut self) {
        if self.line.rules.of(self.line.link).is_some() {
            return;
        }
        let now = Instant::now();
        let late = std::mem::take(&mut self.late).into_values();
        // In the order in which they were to leave.
        self.late = late.zip(0..).map(|(late, place)| ((now, place), late)).collect();
    }

    async fn finish(&mut self) -> Result<Ended, Broken> {
        if let Some((copy, active)) = self.copy.take() {
            let (sender, head) = (self.sender.clone(), Arc::clone(&self.head));
            self.line.call(sender, head, copy, move |link| {
                active.count(link, |counts| counts.duplicated += 1);
            });
        }
        if self.lost > 0 && self.lost == self.arrived {
            // An empty request would be answered; one that was lost is not.
            self.to.send_reset(Reason::CANCEL);
            return Ok(Ended::Swallowed);
        }
        let rest = self.framer.rest();
        wire::send(&mut self.to, rest).await?;
        match self.body.trailers().await? {
            Some(trailers) => self.to.send_trailers(trailers)?,
            None => self.to.send_data(Bytes::new(), true)?,
        }
        Ok(Ended::Sent)
    }
}

/// The next old message for this stream; none while it is not known to be one.
async fn replay(replays: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match replays {
        Some(replays) => replays.recv().await,
        None => std::future::pending().await,
    }
}
