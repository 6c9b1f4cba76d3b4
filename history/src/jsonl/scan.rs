//! One line of the shape that recorders write, read byte by byte.
//!
//! It exists for speed: a history of a million operations is read in the time that a general parser
//! needs for a tenth of it. It knows the nine fields in any order, natural and small whole numbers,
//! text without escapes, and values made of these. **Anything else it declines**, and the caller
//! asks serde, so there is one meaning of the format and one set of messages: this module refuses
//! nothing, and what it accepts, serde reads as the same event. A test holds the two against each
//! other on mutated lines. Texts and numbers are looked at eight bytes at a time (`swar`).

mod swar;

use crate::pairing::Line;
use crate::{Kind, Nanos, NodeId, Process};
use serde_json::{Number, Value};

/// Values nested deeper than a list of transactions is are serde's.
const DEPTH_LIMIT: u32 = 4;

/// The event on the first line of `bytes` and the length of that line with its newline.
pub(super) fn line(text: &str) -> Option<(Line<'_>, usize)> {
    usual(text).or_else(|| any(text))
}

/// A line as our recorders write it: the fields in their order, without blanks. Nothing is asked twice.
pub(super) fn usual(text: &str) -> Option<(Line<'_>, usize)> {
    let mut cursor = Cursor { text, at: 0 };
    cursor.word(b"{\"index\":")?;
    let index = cursor.natural()?;
    cursor.word(b",\"time\":")?;
    let time = Nanos(cursor.natural()?);
    cursor.word(b",\"process\":")?;
    let process = Process::Client(cursor.natural()?);
    cursor.word(b",\"type\":")?;
    let kind = cursor.kind()?;
    cursor.word(b",\"f\":")?;
    let f = cursor.text()?;
    let key = if cursor.has(b",\"key\":") { cursor.text_or_null()? } else { None };
    cursor.word(b",\"value\":")?;
    let value = cursor.value(0)?;
    let node = if cursor.has(b",\"node\":") { cursor.node()? } else { None };
    let error = if cursor.has(b",\"error\":") { cursor.text_or_null()? } else { None };
    cursor.word(b"}\n")?;
    Some((Line { index, time, process, kind, f, key, value, node, error }, cursor.at))
}

/// A line with the fields in any order.
fn any(text: &str) -> Option<(Line<'_>, usize)> {
    let mut cursor = Cursor { text, at: 0 };
    let mut fields = Fields::new();
    cursor.token(b'{')?;
    loop {
        cursor.skip_blank();
        fields.read(&mut cursor)?;
        cursor.skip_blank();
        match cursor.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    cursor.token(b'\n')?;
    Some((fields.line()?, cursor.at))
}

/// The fields met so far; none is met twice.
struct Fields<'a> {
    seen: u16,
    line: Line<'a>,
}

/// Bits of [`Fields::seen`].
const INDEX: u16 = 1;
const TIME: u16 = 1 << 1;
const PROCESS: u16 = 1 << 2;
const TYPE: u16 = 1 << 3;
const F: u16 = 1 << 4;
const KEY: u16 = 1 << 5;
const VALUE: u16 = 1 << 6;
const NODE: u16 = 1 << 7;
const ERROR: u16 = 1 << 8;
/// What no line lacks.
const REQUIRED: u16 = INDEX | TIME | PROCESS | TYPE | F;

impl<'a> Fields<'a> {
    fn new() -> Self {
        let line = Line {
            index: 0,
            time: Nanos(0),
            process: Process::Client(0),
            kind: Kind::Invoke,
            f: "",
            key: None,
            value: Value::Null,
            node: None,
            error: None,
        };
        Self { seen: 0, line }
    }

    /// Reads one field: which one, its first letters tell.
    fn read(&mut self, cursor: &mut Cursor<'a>) -> Option<()> {
        let bit = match cursor.text.as_bytes().get(cursor.at + 1..cursor.at + 3)? {
            b"in" => {
                cursor.name(b"\"index\"")?;
                self.line.index = cursor.natural()?;
                INDEX
            }
            b"ti" => {
                cursor.name(b"\"time\"")?;
                self.line.time = Nanos(cursor.natural()?);
                TIME
            }
            b"pr" => {
                cursor.name(b"\"process\"")?;
                self.line.process = Process::Client(cursor.natural()?);
                PROCESS
            }
            b"ty" => {
                cursor.name(b"\"type\"")?;
                self.line.kind = cursor.kind()?;
                TYPE
            }
            b"f\"" => {
                cursor.name(b"\"f\"")?;
                self.line.f = cursor.text()?;
                F
            }
            b"ke" => {
                cursor.name(b"\"key\"")?;
                self.line.key = cursor.text_or_null()?;
                KEY
            }
            b"va" => {
                cursor.name(b"\"value\"")?;
                self.line.value = cursor.value(0)?;
                VALUE
            }
            b"no" => {
                cursor.name(b"\"node\"")?;
                self.line.node = cursor.node()?;
                NODE
            }
            b"er" => {
                cursor.name(b"\"error\"")?;
                self.line.error = cursor.text_or_null()?;
                ERROR
            }
            _ => return None,
        };
        let fresh = self.seen & bit == 0;
        self.seen |= bit;
        fresh.then_some(())
    }

    /// The line, if nothing that it needs is missing.
    fn line(self) -> Option<Line<'a>> {
        // An ok read says what it read; serde knows how to complain.
        let answer = if self.line.kind == Kind::Ok && self.line.f == "read" { VALUE } else { 0 };
        let needed = REQUIRED | answer;
        (self.seen & needed == needed).then_some(self.line)
    }
}

/// A place in the input. Every method that returns none leaves the line to serde.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// What is still to be read.
    #[inline]
    fn rest(&self) -> Option<&'a [u8]> {
        self.text.as_bytes().get(self.at..)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Blanks within a line.
    #[inline]
    fn skip_blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// This byte, after blanks.
    #[inline]
    fn token(&mut self, wanted: u8) -> Option<()> {
        self.skip_blank();
        (self.next()? == wanted).then_some(())
    }

    /// These bytes, here.
    #[inline]
    fn word<const LENGTH: usize>(&mut self, wanted: &[u8; LENGTH]) -> Option<()> {
        let found = self.rest()?.first_chunk::<LENGTH>()? == wanted;
        self.at += LENGTH;
        found.then_some(())
    }

    /// Whether these bytes are here; if so, they are passed.
    #[inline]
    fn has<const LENGTH: usize>(&mut self, wanted: &[u8; LENGTH]) -> bool {
        let rest = self.rest().unwrap_or_default();
        let found = rest.first_chunk::<LENGTH>() == Some(wanted);
        if found {
            self.at += LENGTH;
        }
        found
    }

    /// This name of a field, with what divides it from its value.
    #[inline]
    fn name<const LENGTH: usize>(&mut self, wanted: &[u8; LENGTH]) -> Option<()> {
        self.word(wanted)?;
        self.token(b':')?;
        self.skip_blank();
        Some(())
    }

    /// The rest of a text after its opening quote: plain ASCII only.
    #[inline(always)]
    fn ascii(&mut self) -> Option<&'a str> {
        let rest = self.rest()?;
        let mut length = 0;
        loop {
            let plain = swar::plain(rest.get(length..)?);
            length += plain;
            if plain < swar::BYTES {
                break;
            }
        }
        let text = self.text.get(self.at..self.at + length)?;
        self.at += length + 1;
        (*rest.get(length)? == b'"').then_some(text)
    }

    #[inline(always)]
    fn text(&mut self) -> Option<&'a str> {
        self.word(b"\"")?;
        self.ascii()
    }

    #[inline(always)]
    fn text_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.peek() == Some(b'n') {
            self.word(b"null").map(|()| None)
        } else {
            self.text().map(Some)
        }
    }

    /// Looked for in the order in which they are common.
    #[inline(always)]
    fn kind(&mut self) -> Option<Kind> {
        if self.has(b"\"invoke\"") {
            Some(Kind::Invoke)
        } else if self.has(b"\"ok\"") {
            Some(Kind::Ok)
        } else if self.has(b"\"fail\"") {
            Some(Kind::Fail)
        } else {
            self.word(b"\"info\"").map(|()| Kind::Info)
        }
    }

    #[inline]
    fn node(&mut self) -> Option<Option<NodeId>> {
        // Of up to nine nodes, which have a digit each.
        if let Some([b'"', b'n', digit @ b'0'..=b'9', b'"']) = self.rest()?.first_chunk() {
            self.at += 4;
            return Some(Some(NodeId(u16::from(digit - b'0'))));
        }
        self.text_or_null()?.map_or(Some(None), |name| name.parse().ok().map(Some))
    }

    /// A whole number without sign, of at most nineteen digits, which always fit. What follows it
    /// is not looked at: a fraction or an exponent is no token that may come next.
    #[inline(always)]
    fn natural(&mut self) -> Option<u64> {
        let rest = self.rest()?;
        let (mut number, mut length) = (0_u64, 0);
        while length < 20 {
            let (digits, value) = swar::digits(rest.get(length..)?);
            number = number.wrapping_mul(swar::POWERS[digits]).wrapping_add(value);
            length += digits;
            if digits < swar::BYTES {
                break;
            }
        }
        self.at += length;
        let leading_zero = length > 1 && rest[0] == b'0';
        ((1..20).contains(&length) && !leading_zero).then_some(number)
    }

    #[inline]
    fn value(&mut self, depth: u32) -> Option<Value> {
        match self.peek()? {
            b'n' => self.word(b"null").map(|()| Value::Null),
            b't' => self.word(b"true").map(|()| Value::Bool(true)),
            b'f' => self.word(b"false").map(|()| Value::Bool(false)),
            b'"' => self.text().map(|text| Value::String(text.to_owned())),
            b'-' => {
                self.at += 1;
                // Minus zero is a fraction to serde.
                let size = i64::try_from(self.natural()?).ok().filter(|size| *size > 0)?;
                Some(Value::Number(Number::from(-size)))
            }
            b'0'..=b'9' => self.natural().map(|number| Value::Number(number.into())),
            b'[' if depth < DEPTH_LIMIT => {
                self.at += 1;
                self.list(depth + 1).map(Value::Array)
            }
            _ => None,
        }
    }

    /// The rest of a list after its opening bracket.
    fn list(&mut self, depth: u32) -> Option<Vec<Value>> {
        self.skip_blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Some(Vec::new());
        }
        // What a compare-and-set says; others grow.
        let mut values = Vec::with_capacity(2);
        loop {
            self.skip_blank();
            values.push(self.value(depth)?);
            self.skip_blank();
            match self.next()? {
                b',' => {}
                b']' => return Some(values),
                _ => return None,
            }
        }
    }
}
