//! One line of the shape that recorders write, read byte by byte.
//!
//! It exists for speed: a history of a million operations is read in the time that a general parser
//! needs for a tenth of it. It knows the nine fields in any order, natural and small whole numbers,
//! text without escapes, and values made of these. **Anything else it declines**, and the caller
//! asks serde, so there is one meaning of the format and one set of messages: this module refuses
//! nothing, and what it accepts, serde reads as the same event. A test holds the two against each
//! other on mutated lines.

use crate::pairing::Line;
use crate::{Kind, Nanos, NodeId, Process};
use serde_json::{Number, Value};

/// Values nested deeper than a list of transactions is are serde's.
const DEPTH_LIMIT: u32 = 4;

/// The event on the first line of `bytes` and the length of that line with its newline.
pub(super) fn line(bytes: &[u8]) -> Option<(Line<'_>, usize)> {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut fields = Fields::default();
    cursor.token(b'{')?;
    loop {
        cursor.token(b'"')?;
        let name = cursor.text_bytes()?;
        cursor.token(b':')?;
        cursor.skip_blank();
        fields.read(name, &mut cursor)?;
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
#[derive(Default)]
struct Fields<'a> {
    seen: u16,
    index: Option<u64>,
    time: Option<u64>,
    process: Option<u64>,
    kind: Option<Kind>,
    f: Option<&'a str>,
    key: Option<&'a str>,
    value: Option<Value>,
    node: Option<NodeId>,
    error: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, name: &[u8], cursor: &mut Cursor<'a>) -> Option<()> {
        let bit = match name {
            b"index" => {
                self.index = Some(cursor.natural()?);
                0
            }
            b"time" => {
                self.time = Some(cursor.natural()?);
                1
            }
            b"process" => {
                self.process = Some(cursor.natural()?);
                2
            }
            b"type" => {
                self.kind = Some(cursor.kind()?);
                3
            }
            b"f" => {
                self.f = Some(cursor.text()?);
                4
            }
            b"key" => {
                self.key = cursor.text_or_null()?;
                5
            }
            b"value" => {
                self.value = Some(cursor.value(0)?);
                6
            }
            b"node" => {
                self.node = cursor.node()?;
                7
            }
            b"error" => {
                self.error = cursor.text_or_null()?;
                8
            }
            _ => return None,
        };
        let fresh = self.seen & (1 << bit) == 0;
        self.seen |= 1 << bit;
        fresh.then_some(())
    }

    fn line(self) -> Option<Line<'a>> {
        let (kind, f) = (self.kind?, self.f?);
        // An ok read says what it read; serde knows how to complain.
        if self.value.is_none() && kind == Kind::Ok && f == "read" {
            return None;
        }
        Some(Line {
            index: self.index?,
            time: Nanos(self.time?),
            process: Process::Client(self.process?),
            kind,
            f,
            key: self.key,
            value: self.value.unwrap_or_default(),
            node: self.node,
            error: self.error,
        })
    }
}

/// A place in the input. Every method that returns none leaves the line to serde.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Blanks within a line.
    fn skip_blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// This byte, after blanks.
    fn token(&mut self, wanted: u8) -> Option<()> {
        self.skip_blank();
        (self.next()? == wanted).then_some(())
    }

    /// These bytes, here.
    fn word(&mut self, wanted: &[u8]) -> Option<()> {
        let found = self.bytes.get(self.at..self.at + wanted.len())? == wanted;
        self.at += wanted.len();
        found.then_some(())
    }

    /// The rest of a text after its opening quote: plain ASCII only.
    fn text_bytes(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\'))?;
        self.at += length + 1;
        (rest[length] == b'"').then_some(&rest[..length])
    }

    fn text(&mut self) -> Option<&'a str> {
        self.word(b"\"")?;
        std::str::from_utf8(self.text_bytes()?).ok()
    }

    fn text_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.peek() == Some(b'n') {
            self.word(b"null").map(|()| None)
        } else {
            self.text().map(Some)
        }
    }

    fn kind(&mut self) -> Option<Kind> {
        self.word(b"\"")?;
        match self.text_bytes()? {
            b"invoke" => Some(Kind::Invoke),
            b"ok" => Some(Kind::Ok),
            b"fail" => Some(Kind::Fail),
            b"info" => Some(Kind::Info),
            _ => None,
        }
    }

    fn node(&mut self) -> Option<Option<NodeId>> {
        self.text_or_null()?.map_or(Some(None), |name| name.parse().ok().map(Some))
    }

    /// A whole number without sign, of at most nineteen digits, which always fit. What follows it
    /// is not looked at: a fraction or an exponent is no token that may come next.
    fn natural(&mut self) -> Option<u64> {
        let start = self.at;
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.at - start == 19 {
                return None;
            }
            number = number * 10 + u64::from(digit - b'0');
            self.at += 1;
        }
        let length = self.at - start;
        let leading_zero = length > 1 && self.bytes[start] == b'0';
        (length > 0 && !leading_zero).then_some(number)
    }

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
