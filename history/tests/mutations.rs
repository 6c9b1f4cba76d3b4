//! Damaged histories of every format: whatever the bytes are, a reader answers with a history or
//! with an error that names a line, and never takes more memory than its input accounts for.
//!
//! Samples of each format are changed by a seeded generator: 20,000 inputs, or as many as fit in
//! the number of seconds that FUZZ_SECONDS gives. Tests in which nothing is accepted, or nothing
//! refused, would hold for a reader that does nothing; they fail.

use history::{ForeignOptions, Format, History, HistoryError, read_foreign};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Inputs that are tried where FUZZ_SECONDS says nothing else.
const INPUTS: u64 = 20_000;

/// What the whole test may use at most; the longest inputs have about a mebibyte.
const MOST_MEMORY_KIB: u64 = 128 << 10;

const JSONL: &str = r#"{"history":1,"workload":"kv","initial":null,"seed":"5eed"}
{"index":0,"time":10,"process":0,"type":"invoke","f":"write","key":"a","value":3,"node":"n2"}
{"index":1,"time":25,"process":0,"type":"ok","f":"write","key":"a","value":3,"node":"n2"}
{"index":2,"time":30,"process":"nemesis","type":"info","f":"partition","value":{"id":1}}
{"index":3,"time":30,"process":1,"type":"invoke","f":"cas","key":"b","value":[1,2]}
{"index":4,"time":31,"process":1,"type":"fail","f":"cas","key":"b","value":[1,2],"error":"mismatch"}
"#;

const EDN_LINES: &str = r#"; recorded by a test
{:index 0, :time 12, :process 0, :type :invoke, :f :write, :value [1 5]}
#jepsen.history.Op{:index 1, :process 1, :type :invoke, :f :read, :value nil}
{:index 2, :process :nemesis, :type :info, :f :start, :value {"n1" #{"n2" "n3"}, [1 2] 3/4}}
{:index 4, :process 0, :type :info, :f :write, :value [1 5], :error "time\u0020out \\"}
{:index 5, :process 1, :type :ok, :f :read, :value 99999999999999999999N #_ ignored}
{:index 6, :process 0, :type :invoke, :f :write, :value -1.5e3}
"#;

const EDN_VECTOR: &str = r#"[{:process 4, :type :invoke, :value [[:append 9 1] [:r 8 nil]]}
 {:process 4, :type :ok, :value [[:append 9 1] [:r 8 [1 2]]]} ; done
 {:process 5, :type :invoke, :value [[:r 9 nil]]}
 {:process 5, :type :fail, :value #inst "2020-01-01", :error \newline}]
"#;

const TXT: &str = "0\t:invoke\t:add\t1\n0\t:ok\t:add\t1\n1\t:invoke\t:read\tnil\n\
    :nemesis\t:info\t:start\tCut off {:n1}\n1\t:ok\t:read\t#{1 2}\terror here\n";

const LOG: &str = "INFO  jepsen.core - starting\n\
    INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 1   :invoke :read   nil\n\
    INFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\nINFO  jepsen.util - 1   :fail   :read   :timed-out\n";

const PORCUPINE: &str = r#"{:process 3, :type :invoke, :f :get, :key "0", :value nil}
{:process 1, :type :invoke, :f :append, :key "0", :value "x 1 0 y"}
{:process 3, :type :ok, :f :get, :key "0", :value ""}
{:process 1, :type :ok, :f :append, :key "0", :value "x 1 0 y"}
"#;

const ELLE: &str = r#"[{"process":0,"type":"invoke","f":"acquire","value":null,"index":0},
 {"process":"nemesis","type":"info","f":"kill","value":{"n1":"\u263a"},"index":1},
 {"process":0,"type":"ok","f":"acquire","value":1.5,"index":2,"error":["a",{"b":[]}]}]
"#;

const ELLE_LINES: &str = r#"{"process":0,"type":"invoke","f":"enqueue","value":1}
{"process":0,"type":"ok","f":"enqueue","value":1}
{"process":1,"type":"invoke","f":"dequeue","value":null}
"#;

const SAMPLES: [(Format, &str); 8] = [
    (Format::Jsonl, JSONL),
    (Format::Edn, EDN_LINES),
    (Format::Edn, EDN_VECTOR),
    (Format::Txt, TXT),
    (Format::Log, LOG),
    (Format::Porcupine, PORCUPINE),
    (Format::Elle, ELLE),
    (Format::Elle, ELLE_LINES),
];

/// What the notations are made of, and what they are not.
const WORDS: [&[u8]; 30] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"\"",
    b"\\",
    b"#",
    b"#_",
    b"#{",
    b";",
    b",",
    b":",
    b"\t",
    b"\n",
    b"\r\n",
    b" ",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"nil",
    b"null",
    b":process",
    b":ok",
    b":invoke",
    b"\\u",
    b"\\ud83d",
    b"1/",
    b"-",
];

const NUMBERS: [&str; 8] = [
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "9223372036854775808",
    "1e999",
    "-0",
    "0x",
    "123456789012345678901234567890M",
];

struct Draw(ChaCha8Rng);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A stretch of these bytes, mostly short.
    fn stretch(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        let longest = if self.one_in(4) { bytes.len() - start } else { 8 };
        start..(start + self.below(longest + 1)).min(bytes.len())
    }
}

/// Changes the bytes in one way.
fn mutate(bytes: &mut Vec<u8>, draw: &mut Draw) {
    let range = draw.stretch(bytes);
    let at = range.start;
    match draw.below(10) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << draw.below(8),
        2 => drop(bytes.drain(range)),
        3 => {
            let again = bytes[range].to_vec();
            insert(bytes, at, &again);
        }
        4 => {
            let (_, other) = draw.pick(&SAMPLES);
            let other = other.as_bytes();
            let part = draw.stretch(other);
            bytes.splice(range, other[part].iter().copied());
        }
        5 if draw.one_in(3) => bytes.truncate(at),
        6 => {
            let deep = if draw.one_in(10) { 20_000 } else { draw.below(200) };
            let open: &[u8] =
                draw.pick(&[b"[", b"{", b"(", b"#{", b"#_", b"#a ", b"{1 ", b"{\"a\":"]);
            insert(bytes, at, &open.repeat(deep));
        }
        7 => {
            let number = draw.pick(&NUMBERS);
            insert(bytes, at, number.as_bytes());
        }
        8 if draw.one_in(20) => {
            let filler: &[u8] =
                draw.pick(&[b"x", b" ", b"7", b"\\\\", b"\t", b"\n", b"{} ", b"[1]", b"1,"]);
            insert(bytes, at, &filler.repeat(100_000));
        }
        _ => {
            let word = draw.pick(&WORDS);
            insert(bytes, at, word);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    bytes.splice(at..at, what.iter().copied());
}

/// One damaged sample, and how to read it.
fn input(draw: &mut Draw) -> (Vec<u8>, ForeignOptions) {
    let (format, sample) = draw.pick(&SAMPLES);
    let mut bytes = sample.as_bytes().to_vec();
    let changes = if draw.one_in(2) { 1 } else { 1 + draw.below(4) };
    for _ in 0..changes {
        mutate(&mut bytes, draw);
    }
    let format = if draw.one_in(10) { draw.pick(&Format::ALL) } else { format };
    let mut options = ForeignOptions::new(format);
    options.independent = draw.one_in(10);
    options.workload = draw.one_in(2).then(|| "register".to_owned());
    (bytes, options)
}

/// Whether an error names a line that is there, or the one behind the last.
fn names_a_line(error: &HistoryError, bytes: &[u8]) -> bool {
    if matches!(error, HistoryError::Empty) {
        return bytes.is_empty() || bytes == b"\xef\xbb\xbf";
    }
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
    let said = error.to_string();
    let digits = said.strip_prefix("line ").and_then(|rest| rest.split([',', ':']).next());
    digits.and_then(|digits| digits.parse().ok()).is_some_and(|line| (1..=lines).contains(&line))
}

/// Reads the bytes, and holds the answer to what is promised of it.
fn checked(number: u64, bytes: &[u8], options: &ForeignOptions) -> Result<History, HistoryError> {
    let shown = || bytes[..bytes.len().min(2000)].escape_ascii().to_string();
    let answer =
        catch_unwind(AssertUnwindSafe(|| (Format::detect(bytes), read_foreign(bytes, options))));
    let (_, answer) = answer.unwrap_or_else(|_| panic!("input {number} {options:?}: {}", shown()));
    if let Err(error) = &answer {
        assert!(names_a_line(error, bytes), "input {number}: {error}: {}", shown());
    }
    answer
}

/// The most memory that this process has had at once, where the system tells.
fn most_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn samples_are_histories() {
    for (format, sample) in SAMPLES {
        let answer = checked(0, sample.as_bytes(), &ForeignOptions::new(format));
        assert!(answer.is_ok(), "{format}: {answer:?}");
        assert_eq!(Format::detect(sample.as_bytes()), Some(format));
    }
}

#[test]
fn damaged_histories_are_read_or_refused_with_a_line() {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .map(|seconds| seconds.parse().expect("FUZZ_SECONDS is a whole number of seconds"));
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let goes_on = |number| match until {
        Some(until) => Instant::now() < until,
        None => number < INPUTS,
    };
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(12));
    // For each format, how many inputs were accepted and how many refused.
    let mut counts = [[0_u64; 2]; 6];
    let mut number = 0;
    while goes_on(number) {
        let (bytes, options) = input(&mut draw);
        let accepted = checked(number, &bytes, &options).is_ok();
        let format = Format::ALL.iter().position(|format| *format == options.format);
        counts[format.unwrap_or_default()][usize::from(!accepted)] += 1;
        number += 1;
    }
    for (format, [accepted, refused]) in Format::ALL.into_iter().zip(counts) {
        println!("{format}: {} tried, {accepted} accepted", accepted + refused);
        assert!(accepted > 0 && refused > 0, "{format}: {accepted} accepted, {refused} refused");
    }
    match most_memory_kib() {
        Some(kib) => {
            println!("{number} inputs tried, {} MiB of memory at most", kib >> 10);
            assert!(kib < MOST_MEMORY_KIB, "{kib} KiB of memory for inputs of at most about 1 MiB");
        }
        None => println!("{number} inputs tried; this system does not tell the memory used"),
    }
}
