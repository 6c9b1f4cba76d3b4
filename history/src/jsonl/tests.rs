//! The quick reader against the plain one: what the scan accepts is what serde reads, and what
//! blocks and threads make of a file is what one line after the other would be.

use super::blocks::{Blocks, End};
use super::read::{read_in_blocks, utf8};
use super::{LONGEST_LINE_BYTES, parse, scan};
use crate::{Event, History, HistoryError, Order, read_jsonl};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::io::{self, Read};

struct Draw(ChaCha8Rng);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// What stands as a whole number, mostly.
const NUMBERS: [&str; 22] = [
    "0",
    "7",
    "41",
    "1900122",
    "18446744073709551615",
    "18446744073709551616",
    "9999999999999999999",
    "12345678901234567890123",
    "9223372036854775807",
    "9223372036854775808",
    "-0",
    "-1",
    "-9223372036854775808",
    "-9223372036854775809",
    "00",
    "01",
    "1e3",
    "1E+2",
    "1.0",
    "0.5",
    "null",
    "\"3\"",
];
const TEXTS: [&str; 14] = [
    "\"read\"",
    "\"write\"",
    "\"k7\"",
    "\"\"",
    "\"a b\"",
    "\"a\\nb\"",
    "\"\\u0041\"",
    "\"✗\"",
    "\"\u{7f}\"",
    "\"\u{1}\"",
    "null",
    "4",
    "\"timeout\"",
    "\"\\\"\"",
];
const VALUES: [&str; 18] = [
    "null",
    "3",
    "[1,2]",
    "[null,2]",
    "[ 1 , 2 ]",
    "[]",
    "[[\"append\",\"k\",3],[\"r\",\"k\",null]]",
    "true",
    "false",
    "[[[[[[1]]]]]]",
    "{\"a\":1}",
    "\"x\"",
    "-5",
    "1.5",
    "[1,]",
    "nul",
    "[-0]",
    "[1,2",
];
const NODES: [&str; 9] = [
    "\"n1\"",
    "\"n5\"",
    "\"n003\"",
    "\"n65535\"",
    "\"n65536\"",
    "\"n\"",
    "\"1\"",
    "null",
    "\"n-1\"",
];
const KINDS: [&str; 6] =
    ["\"invoke\"", "\"ok\"", "\"fail\"", "\"info\"", "\"maybe\"", "\"in\\u0066o\""];
const PROCESSES: [&str; 6] = ["0", "3", "\"nemesis\"", "\"c1\"", "4000000", "3.0"];

/// A field, strange one time in `1 / strange`.
fn field(draw: &mut Draw, name: &str, strange: usize) -> String {
    let all: &[&str] = match name {
        "index" | "time" => &NUMBERS,
        "process" => &PROCESSES,
        "type" => &KINDS,
        "node" => &NODES,
        "value" => &VALUES,
        _ => &TEXTS,
    };
    let usual = match name {
        "type" => 4,
        "value" => 9,
        "index" | "time" => 4,
        _ => 2,
    };
    let shown = if draw.below(strange) == 0 { all.len() } else { usual };
    let space = if draw.below(10) == 0 { draw.pick(&[" ", "\t", "  ", "\r"]) } else { "" };
    format!("\"{name}\":{space}{}{space}", draw.pick(&all[..shown]))
}

/// A line: mostly one that is an event, with fields left out, repeated and in another order.
fn line(draw: &mut Draw) -> Vec<u8> {
    let mut names = vec!["index", "time", "process", "type", "f", "key", "value", "node", "error"];
    for _ in 0..draw.below(4) {
        names.swap(draw.below(9), draw.below(9));
    }
    if draw.below(2) == 0 {
        names.retain(|name| !["key", "node", "error"].contains(name) || draw.below(2) == 0);
    }
    if draw.below(16) == 0 {
        names.remove(draw.below(names.len()));
    }
    if draw.below(16) == 0 {
        names.push(draw.pick(&["f", "key", "value", "error", "valu", "indexes", "time"]));
    }
    let fields: Vec<String> = names.iter().map(|name| field(draw, name, 60)).collect();
    let end =
        if draw.below(20) == 0 { draw.pick(&[" \n", "\r\n", ",\n", "}\n", "x\n"]) } else { "\n" };
    format!("{{{}}}{end}", fields.join(",")).into_bytes()
}

/// What a byte may turn into.
const DAMAGE: &[u8] = b"{}[]\",:\\ 0123456789-+.eEnul\x00\x1f\x7f\x80\xff\t\r";

/// Damages a line, but not its end.
fn damage(draw: &mut Draw, line: &mut Vec<u8>) {
    for _ in 0..1 + draw.below(2) {
        let at = draw.below(line.len() - 1);
        let byte = DAMAGE[draw.below(DAMAGE.len())];
        match draw.below(4) {
            0 => line[at] = byte,
            1 => line.insert(at, byte),
            2 if line.len() > 2 => drop(line.remove(at)),
            _ => {
                let until = at + draw.below(line.len() - at);
                let piece = line[at..until].to_vec();
                line.splice(at..at, piece);
            }
        }
    }
}

#[test]
fn what_the_scan_accepts_is_what_serde_reads() {
    let mut draw = Draw::new(3);
    let (mut accepted, mut usual, mut damaged, mut refused) = (0, 0, 0, 0);
    for number in 0..300_000 {
        let mut line = line(&mut draw);
        let spoil = number % 3 == 0;
        if spoil {
            damage(&mut draw, &mut line);
        }
        let slow = parse::event(&line);
        refused += usize::from(slow.is_err());
        // What follows the line is none of its business.
        let length = line.len();
        line.extend_from_slice(b"{\"index\":1");
        let Some((fast, scanned)) = scan::line(utf8(&line)) else { continue };
        accepted += 1;
        damaged += usize::from(spoil);
        let text = String::from_utf8_lossy(&line[..length]);
        let slow = slow.unwrap_or_else(|problem| panic!("accepted, but {problem:?}: {text}"));
        assert_eq!(scanned, length, "{text}");
        // Debug as well: -0 equals 0, and 1.0 is not 1.
        let fast = fast.into_event();
        assert_eq!(fast, slow, "{text}");
        assert_eq!(format!("{fast:?}"), format!("{slow:?}"), "{text}");
        usual += usize::from(scan::usual(utf8(&line)).is_some());
    }
    assert!(
        accepted > 100_000 && damaged > 5_000,
        "{accepted} accepted, {damaged} of them damaged"
    );
    assert!(usual > 5_000, "only {usual} were as our recorders write them");
    assert!(refused > 50_000, "only {refused} were wrong at all");
}

#[test]
fn the_scan_declines_nothing_that_our_recorders_write() {
    let head = "\"index\":12,\"time\":1200345,\"process\":3";
    for value in
        ["null", "41", "-3", "[1,2]", "[null,5]", "true", "\"x\"", "[[\"append\",\"k1\",3]]"]
    {
        for tail in ["", ",\"node\":\"n2\"", ",\"node\":\"n2\",\"error\":\"timeout\""] {
            let line = format!(
                "{{{head},\"type\":\"info\",\"f\":\"cas\",\"key\":\"k7\",\"value\":{value}{tail}}}\n"
            );
            let event = parse::event(line.as_bytes()).expect("an event");
            let mut written = serde_json::to_vec(&event).expect("an event is JSON");
            written.push(b'\n');
            assert_eq!(written, line.as_bytes());
            assert!(scan::line(utf8(&written)).is_some(), "declined {line}");
            let spaced = line.replace(",\"", ", \"").replace("\":", "\": ");
            assert!(scan::line(&spaced).is_some(), "declined {spaced}");
        }
    }
}

/// Reads as slowly and plainly as can be: all lines by serde, then all events at once.
fn plainly(file: &[u8]) -> Result<History, String> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut lines = file.split_inclusive(|byte| *byte == b'\n');
    let header = parse::header(lines.next().unwrap_or_default()).map_err(|e| e.to_string())?;
    let mut events: Vec<Event> = Vec::new();
    let (mut malformed, mut torn) = (None, None);
    for (number, line) in (2_u64..).zip(lines) {
        match parse::event(line) {
            parsed if line.last() != Some(&b'\n') => torn = Some((number, parsed.is_ok())),
            Ok(event) => events.push(event),
            Err((column, problem)) => {
                malformed = Some(HistoryError::Event { line: number, column, problem });
                break;
            }
        }
    }
    let history = History::from_events(header, events, Order::Time);
    let mut history = history.map_err(|error| match error {
        HistoryError::Contradiction { position, problem, .. } => {
            format!("line {}: {problem}", position + 1)
        }
        other => other.to_string(),
    })?;
    if let Some(malformed) = malformed {
        return Err(malformed.to_string());
    }
    if let Some((number, whole)) = torn {
        history.left_out = whole;
        history.warnings.push(format!(
            "line {number} has no newline: it may have been cut while being written, and is left out"
        ));
    }
    Ok(history)
}

/// A file of pairs of lines; some have something wrong in the middle.
fn file(draw: &mut Draw) -> Vec<u8> {
    let mut file = b"{\"history\":1,\"workload\":\"kv\"}\n".to_vec();
    if draw.below(4) == 0 {
        file.splice(0..0, *b"\xef\xbb\xbf");
    }
    for index in 0..10 + draw.below(60) {
        let process = index / 2 % 3;
        let kind = if index % 2 == 0 { "invoke" } else { draw.pick(&["ok", "fail"]) };
        let value = draw.pick(&["null", "3", "[1,2]", "1.5", "\"\\n\"", "{\"a\":[]}"]);
        let node = draw.pick(&["", ",\"node\":\"n1\"", ",\"node\":\"n2\""]);
        let error = draw.pick(&["", "", ",\"error\":\"timeout\""]);
        let line = format!(
            "{{\"index\":{index},\"time\":{index},\"process\":{process},\"type\":\"{kind}\",\
             \"f\":\"write\",\"key\":\"k\",\"value\":{value}{node}{error}}}\n"
        );
        let mut line = line.into_bytes();
        if draw.below(60) == 0 {
            damage(draw, &mut line);
        }
        file.extend(line);
    }
    if draw.below(3) == 0 {
        file.truncate(file.len() - draw.below(90));
    }
    file
}

#[test]
fn blocks_and_threads_change_nothing() {
    let mut draw = Draw::new(9);
    let (mut good, mut bad, mut torn) = (0, 0, 0);
    for number in 0..1_500 {
        let file = file(&mut draw);
        let expected = plainly(&file);
        match &expected {
            Ok(history) if history.left_out => torn += 1,
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
        let size = [1, 7, 64, 100, 1 << 10, 1 << 20][number % 6];
        let threads = 1 + number / 6 % 4;
        let found = read_in_blocks(&file[..], threads, size).map_err(|error| error.to_string());
        assert_eq!(found, expected, "{size} bytes a block, {threads} threads");
        assert_eq!(read_jsonl(&file[..]).map_err(|error| error.to_string()), expected);
    }
    assert!(good > 300 && bad > 300 && torn > 3, "{good} good, {bad} bad, {torn} torn");
}

/// Gives these bytes, a few at a time, and then fails.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.len().min(buffer.len()).min(5) {
            0 => Err(io::Error::other("the disk is gone")),
            some => self.0.read(&mut buffer[..some]),
        }
    }
}

#[test]
fn a_read_that_fails_is_named_after_what_came_before() {
    let line = "{\"index\":0,\"time\":1,\"process\":0,\"type\":\"invoke\",\"f\":\"read\"}\n";
    let head = "{\"history\":1,\"workload\":\"kv\"}\n";
    for (text, expected) in [
        (String::new(), "line 1: cannot read the history: the disk is gone".to_owned()),
        (head[..9].to_owned(), "line 1: cannot read the history: the disk is gone".to_owned()),
        (
            format!("{head}{line}{}", &line[..9]),
            "line 3: cannot read the history: the disk is gone".to_owned(),
        ),
        (
            format!("{head}\n{line}"),
            "line 2, column 1: the line is blank; expected an event".to_owned(),
        ),
        (
            format!("{head}{line}{line}"),
            "line 3: index 0 after index 0, expected a greater one".to_owned(),
        ),
    ] {
        for (size, threads) in [(8, 1), (8, 3), (1 << 20, 2)] {
            let refused = read_in_blocks(Failing(text.as_bytes()), threads, size).map(|_| ());
            assert_eq!(refused.map_err(|error| error.to_string()), Err(expected.clone()), "{text}");
        }
    }
}

#[test]
fn a_line_without_end_is_refused_before_it_is_in_memory() {
    let head = &b"{\"history\":1,\"workload\":\"kv\"}\n"[..];
    let endless = head.chain(io::repeat(b'x'));
    let refused = read_in_blocks(endless, 2, (10 << 20) + 1).map(|_| ()).map_err(|e| e.to_string());
    let expected = "line 2, column 67108864: the line is longer than 67108864 bytes";
    assert_eq!(refused, Err(expected.to_owned()));
    let mut blocks = Blocks::new(io::repeat(b'x'), (30 << 20) + 1);
    let block = blocks.next(Vec::new()).expect("a block");
    assert!(matches!(block.end, Some(End::LongLine)));
    assert_eq!(block.bytes.len() as u64, LONGEST_LINE_BYTES);
    assert!(blocks.next(block.bytes).is_none());
}

#[test]
fn a_malformed_line_ends_the_reading() {
    struct Counting<'a>(&'a mut usize, &'a [u8]);
    impl Read for Counting<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.1.read(buffer)?;
            *self.0 += read;
            Ok(read)
        }
    }
    let file = format!("{{\"history\":1,\"workload\":\"kv\"}}\n{}", "no event\n".repeat(100_000));
    let mut bytes = 0;
    let refused = read_in_blocks(Counting(&mut bytes, file.as_bytes()), 1, 1 << 10);
    assert!(matches!(refused, Err(HistoryError::Event { line: 2, .. })));
    assert!(bytes <= 2 << 10, "{bytes} bytes were read");
}
