//! What waits on its way to somebody: bounded, and the oldest goes first when there is too much.
//!
//! Not much waits: a node that is too slow would only ever see what is long over. A network may lose messages, so what does
//! not fit is dropped, counted and told, also in the verdict ([`Log::dropped`]): a node that sends nothing twice may look
//! wrong for it. Nobody who puts something in ever waits. That keeps the reading of a node's output free of everybody else's
//! pace.

use super::log::Log;
use crate::system::maelstrom::line::LIMIT_BYTES;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many messages wait for one addressee at most.
const MOST: usize = 1_000;
/// How many bytes of them: the longest line finds room.
const MOST_BYTES: usize = LIMIT_BYTES;

/// Messages, as lines without their ends, in order.
#[derive(Debug)]
pub(super) struct Queue {
    /// For whom, in words.
    name: String,
    log: Arc<Log>,
    held: Mutex<Held>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Held {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    pub(super) fn new(name: String, log: Arc<Log>) -> Arc<Self> {
        Arc::new(Self { name, log, held: Mutex::default(), filled: Notify::new() })
    }

    /// Puts a line behind all others; the oldest are dropped for it if need be.
    pub(super) fn push(&self, line: Vec<u8>) {
        let (now, dropped) = {
            let mut held = self.lock();
            held.bytes += line.len();
            held.lines.push_back(line);
            let before = held.dropped;
            while held.lines.len() > MOST || (held.bytes > MOST_BYTES && held.lines.len() > 1) {
                let oldest = held.lines.pop_front().map_or(0, |line| line.len());
                held.bytes -= oldest;
                held.dropped += 1;
            }
            // Told now and then: whenever the number of its binary digits grows.
            let grown = before.checked_ilog2() != held.dropped.checked_ilog2();
            (held.dropped - before, grown.then_some(held.dropped))
        };
        self.log.dropped(now);
        self.filled.notify_one();
        if let Some(dropped) = dropped {
            let name = &self.name;
            self.log.say(&format!("too much waits for {name}: {dropped} messages dropped so far"));
        }
    }

    /// Takes the oldest line, waiting until there is one. For one taker at a time.
    pub(super) async fn take(&self) -> Vec<u8> {
        loop {
            if let Some(line) = self.try_take() {
                return line;
            }
            self.filled.notified().await;
        }
    }

    /// The oldest line, if there is any.
    pub(super) fn try_take(&self) -> Option<Vec<u8>> {
        let mut held = self.lock();
        let line = held.lines.pop_front()?;
        held.bytes -= line.len();
        Some(line)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Log, MOST, MOST_BYTES, Queue};

    #[test]
    fn lines_come_out_in_order_and_the_oldest_make_room() {
        let (log, said) = Log::kept();
        let queue = Queue::new("n2".to_owned(), std::sync::Arc::clone(&log));
        for number in 0..MOST + 3 {
            queue.push(number.to_string().into_bytes());
        }
        // Another queue of the same bridge.
        let other = Queue::new("n3".to_owned(), std::sync::Arc::clone(&log));
        (0..=MOST).for_each(|_| other.push(Vec::new()));
        assert_eq!(queue.try_take(), Some(b"3".to_vec()));
        assert_eq!(queue.try_take(), Some(b"4".to_vec()));
        log.ended();
        let said = said();
        let told: Vec<&str> = said.lines().collect();
        let dropped =
            |name, count| format!("too much waits for {name}: {count} messages dropped so far");
        assert_eq!(told[..3], [dropped("n2", 1), dropped("n2", 2), dropped("n3", 1)]);
        assert!(told[3].ends_with(r#"{"broken":0,"too_long":0,"dropped":4}"#), "{said}");
    }

    #[test]
    fn a_few_large_lines_are_too_much_too_and_the_newest_always_stays() {
        let queue = Queue::new("n2".to_owned(), Log::kept().0);
        let half = MOST_BYTES / 2;
        for letter in [b'a', b'b', b'c'] {
            queue.push(vec![letter; half]);
        }
        assert_eq!(queue.try_take().map(|line| line[0]), Some(b'b'));
        queue.push(vec![b'd'; 2 * MOST_BYTES]);
        assert_eq!(queue.try_take().map(|line| line[0]), Some(b'd'));
        assert_eq!(queue.try_take(), None);
        queue.push(b"e".to_vec());
        assert_eq!(
            queue.try_take(),
            Some(b"e".to_vec()),
            "the count of bytes came back to nothing"
        );
    }

    #[tokio::test]
    async fn whoever_waits_for_a_line_gets_it() {
        let queue = Queue::new("n2".to_owned(), Log::kept().0);
        let taking = queue.take();
        let (line, ()) = tokio::join!(taking, async { queue.push(b"late".to_vec()) });
        assert_eq!(line, b"late");
    }
}
