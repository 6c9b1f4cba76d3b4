//! From bytes to a history, on as many threads as the caller has to spare.
//!
//! Lines are parsed by blocks, each by one thread; which completion belongs to which invocation can
//! only be said in order. So the state of the pairing travels: every block comes with the sender of
//! the state to its successor and the receiver from its predecessor, and whoever has parsed a block
//! waits for the state, adds its lines and hands the state on. A thread holds one block at a time,
//! so memory in flight is that of the threads' blocks. The first problem in the order of
//! lines is the one that is told, whatever the threads did in between, and it stops the reading.
//!
//! One thread does the same alone: there is no second way to read a file.

use super::blocks::{Block, Blocks, End};
use super::{LONGEST_LINE_BYTES, parse, scan};
use crate::pairing::{Line, Pairing};
use crate::{Event, Header, History, HistoryError, Order};
use std::io::{BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of a block: what it becomes when parsed still fits the cache of one core.
const BLOCK_BYTES: usize = 256 << 10;

/// What editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a history in which time decides.
///
/// # Errors
/// [`HistoryError`] names the line, the column and what was expected.
pub fn read_jsonl(input: impl BufRead) -> Result<History, HistoryError> {
    let (relay, header) = open(input, BLOCK_BYTES)?;
    work(&relay);
    close(relay, header)
}

/// Reads a history in which time decides, on this and `threads - 1` more threads. The result is
/// that of [`read_jsonl`]; `input` needs no buffer.
///
/// # Errors
/// [`HistoryError`] names the line, the column and what was expected.
pub fn read_jsonl_parallel(
    input: impl Read + Send,
    threads: usize,
) -> Result<History, HistoryError> {
    read_in_blocks(input, threads, BLOCK_BYTES)
}

pub(super) fn read_in_blocks(
    input: impl Read + Send,
    threads: usize,
    block_bytes: usize,
) -> Result<History, HistoryError> {
    let (relay, header) = open(input, block_bytes)?;
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| work(&relay));
        }
        work(&relay);
    });
    close(relay, header)
}

/// What is left to be read, and who hands the state to the reader of the next block.
struct Relay<R> {
    blocks: Blocks<R>,
    previous: Receiver<Box<State>>,
}

/// Everything known after some lines.
struct State {
    pairing: Pairing,
    /// Lines so far, the header included.
    lines: u64,
    warnings: Vec<String>,
    left_out: bool,
    failure: Option<HistoryError>,
}

/// Reads the header, and leaves what is behind it to the workers.
fn open<R: Read>(input: R, size: usize) -> Result<(Mutex<Relay<R>>, Header), HistoryError> {
    let mut blocks = Blocks::new(input, size);
    let mut first = blocks.next(Vec::new()).ok_or(HistoryError::Empty)?;
    if first.lines().starts_with(BYTE_ORDER_MARK) {
        first.start = BYTE_ORDER_MARK.len();
    }
    let mut warnings = Vec::new();
    let header = match first.lines().iter().position(|byte| *byte == b'\n') {
        Some(newline) => {
            let line = first.start..first.start + newline + 1;
            first.start = line.end;
            parse::header(&first.bytes[line])?
        }
        None => {
            let line = torn(first.end.take(), 1)?;
            let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line);
            if line.is_empty() {
                return Err(HistoryError::Empty);
            }
            let warning = "line 1 has no newline: the history was cut after its header";
            warnings.push(warning.to_owned());
            first.end = Some(End::Input(Vec::new()));
            parse::header(line)?
        }
    };
    blocks.put_back(first);
    let pairing = Pairing::new(Order::Time);
    let state = State { pairing, lines: 1, warnings, left_out: false, failure: None };
    let (sender, previous) = sync_channel(1);
    // The channel has room for it and its receiver is in hand, so this cannot fail.
    let _ = sender.send(Box::new(state));
    Ok((Mutex::new(Relay { blocks, previous }), header))
}

/// The bytes of a last line without newline, or why there are none.
fn torn(end: Option<End>, line: u64) -> Result<Vec<u8>, HistoryError> {
    match end {
        None => Ok(Vec::new()),
        Some(End::Input(bytes)) => Ok(bytes),
        Some(End::Failed(source)) => Err(HistoryError::Read { line, source }),
        Some(End::LongLine) => Err(HistoryError::Event {
            line,
            column: LONGEST_LINE_BYTES,
            problem: format!("the line is longer than {LONGEST_LINE_BYTES} bytes"),
        }),
    }
}

/// Takes blocks until there are no more.
fn work<R: Read>(relay: &Mutex<Relay<R>>) {
    let mut buffer = Vec::new();
    while let Some((mut block, before, after)) = next(relay, buffer) {
        let end = block.end.take();
        let parsed = parse_lines(block.lines());
        // Nobody hands a state on after a panic, which the scope passes on.
        let Ok(mut state) = before.recv() else { return };
        if state.failure.is_none() {
            state.failure = state.add(parsed, end).err();
        }
        if state.failure.is_some() {
            lock(relay).blocks.stop();
        }
        // Nobody waits for it if the reading stopped.
        let _ = after.send(state);
        buffer = block.bytes;
    }
}

type Leg = (Block, Receiver<Box<State>>, SyncSender<Box<State>>);

fn next<R: Read>(relay: &Mutex<Relay<R>>, buffer: Vec<u8>) -> Option<Leg> {
    let mut relay = lock(relay);
    let block = relay.blocks.next(buffer)?;
    let (sender, receiver) = sync_channel(1);
    let before = std::mem::replace(&mut relay.previous, receiver);
    Some((block, before, sender))
}

/// A panic of another worker ends the reading anyway.
fn lock<R>(relay: &Mutex<Relay<R>>) -> MutexGuard<'_, Relay<R>> {
    relay.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the history of the last state.
fn close<R>(relay: Mutex<Relay<R>>, header: Header) -> Result<History, HistoryError> {
    let relay = relay.into_inner().unwrap_or_else(PoisonError::into_inner);
    let state = relay.previous.recv().expect("every worker that did not panic hands the state on");
    if let Some(failure) = state.failure {
        return Err(failure);
    }
    let mut history = History::paired(header, Order::Time, state.pairing);
    history.warnings = state.warnings;
    history.left_out = state.left_out;
    Ok(history)
}

/// A line that was read, by us or by serde.
enum Parsed<'a> {
    Line(Line<'a>),
    Event(Box<Event>),
}

/// The lines of a block up to the first that is no event, and where and why it is none.
type Lines<'a> = (Vec<Parsed<'a>>, Option<(u64, String)>);

fn parse_lines(bytes: &[u8]) -> Lines<'_> {
    // An event takes about a hundred bytes.
    let mut lines = Vec::with_capacity(bytes.len() / 100);
    let text = utf8(bytes);
    let mut rest = bytes;
    while !rest.is_empty() {
        let unread = text.get(bytes.len() - rest.len()..).unwrap_or_default();
        if let Some((line, length)) = scan::line(unread) {
            lines.push(Parsed::Line(line));
            rest = &rest[length..];
            continue;
        }
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = rest.split_at(newline.map_or(rest.len(), |at| at + 1));
        match parse::event(line) {
            Ok(event) => lines.push(Parsed::Event(Box::new(event))),
            Err(problem) => return (lines, Some(problem)),
        }
        rest = after;
    }
    (lines, None)
}

/// As much as is text, up to the first byte that is none: what is wrong with that, serde says.
pub(super) fn utf8(bytes: &[u8]) -> &str {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => return text,
        Err(error) => &bytes[..error.valid_up_to()],
    };
    std::str::from_utf8(valid).unwrap_or_default()
}

impl State {
    /// Takes in the next block.
    fn add(&mut self, lines: Lines<'_>, end: Option<End>) -> Result<(), HistoryError> {
        let (parsed, malformed) = lines;
        for line in parsed {
            // Positions count events from 0; the header is line 1 and no line is blank.
            let position = self.lines - 1;
            self.lines += 1;
            let pushed = match line {
                Parsed::Line(line) => self.pairing.push(position, line),
                Parsed::Event(mut event) => self.pairing.push(position, Line::of(&mut event)),
            };
            pushed.map_err(|problem| HistoryError::Contradiction {
                line: Some(self.lines),
                position: self.lines - 1,
                problem,
            })?;
        }
        let line = self.lines + 1;
        if let Some((column, problem)) = malformed {
            return Err(HistoryError::Event { line, column, problem });
        }
        let torn = torn(end, line)?;
        if !torn.is_empty() {
            self.warnings.push(format!(
                "line {line} has no newline: it may have been cut while being written, and is left out"
            ));
            self.left_out = parse::event(&torn).is_ok();
        }
        Ok(())
    }
}
