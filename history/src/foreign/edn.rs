//! EDN, the notation in which Clojure programs print values, read as JSON values.
//!
//! What is written is kept as far as JSON can say it; nothing is evaluated.
//!
//! | EDN | JSON |
//! |---|---|
//! | nil, booleans, strings | themselves |
//! | keyword `:a/b`, symbol `a/b` | the string `a/b` |
//! | character `\a`, `\newline` | a string of that one character |
//! | integer, also `7N` | a number; text where 64 bits cannot hold it |
//! | double | a number; text where it is infinite |
//! | ratio `1/3`, decimal `1.5M`, `##NaN` | text, as written without the `M` |
//! | list, vector, set | an array in the order written |
//! | map | an object; a key that is not a scalar is named by its text as written |
//! | tagged value `#tag x` | `x` |
//!
//! Commas are blanks; `; …` and `#_ x` are comments. Nesting is bounded, so that a hostile file
//! cannot exhaust the stack, and a map with two keys that are written alike is refused rather than
//! one of them forgotten.

use super::scalar;
use super::text::Fault;
use serde_json::{Map, Value};

/// The deepest nesting that is read; what JSON readers usually allow.
const DEEPEST: usize = 127;

type Read<T> = Result<T, Fault>;

/// Reads one value after another.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// A reader that starts at this offset, which must be the start of a character.
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at, depth: 0 }
    }

    /// Where the reader is.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Skips blanks and comments, and says what comes then; none at the end.
    pub(super) fn ahead(&mut self) -> Read<Option<u8>> {
        loop {
            match self.peek() {
                Some(byte) if is_blank(byte) => self.at += 1,
                Some(b';') => {
                    let rest = &self.text[self.at..];
                    self.at += rest.find('\n').unwrap_or(rest.len());
                }
                Some(b'#') if self.text[self.at..].starts_with("#_") => {
                    self.at += 2;
                    self.value()?;
                }
                other => return Ok(other),
            }
        }
    }

    /// Steps over the one-byte delimiter that `ahead` has just announced.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Reads the next value.
    pub(super) fn value(&mut self) -> Read<Value> {
        if self.depth == DEEPEST {
            return Err(Fault::new(self.at, format!("values are nested deeper than {DEEPEST}")));
        }
        self.depth += 1;
        let value = match self.ahead()? {
            None => Err(Fault::new(self.at, "the input ends where a value was expected")),
            Some(b'"') => self.string().map(Value::String),
            Some(b'\\') => self.character(),
            Some(b'[') => self.sequence(b']'),
            Some(b'(') => self.sequence(b')'),
            Some(b'{') => self.map().map(Value::Object),
            Some(b'#') => self.dispatch(),
            Some(byte @ (b']' | b')' | b'}')) => {
                Err(Fault::new(self.at, format!("`{}` where a value was expected", byte as char)))
            }
            Some(_) => {
                let (at, token) = (self.at, self.token());
                scalar::atom(token).map_err(|problem| Fault::new(at, problem))
            }
        };
        self.depth -= 1;
        value
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Everything up to the next delimiter.
    fn token(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(is_delimiter).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn sequence(&mut self, close: u8) -> Read<Value> {
        let open = self.at;
        self.step();
        let mut items = Vec::new();
        loop {
            match self.ahead()? {
                Some(byte) if byte == close => break,
                None => return Err(self.unclosed(open, close)),
                Some(_) => items.push(self.value()?),
            }
        }
        self.step();
        Ok(Value::Array(items))
    }

    fn map(&mut self) -> Read<Map<String, Value>> {
        let open = self.at;
        self.step();
        let mut map = Map::new();
        loop {
            match self.ahead()? {
                Some(b'}') => break,
                None => return Err(self.unclosed(open, b'}')),
                Some(_) => {}
            }
            let at = self.at;
            let key = self.value()?;
            let key = name(key, &self.text[at..self.at]);
            let value = self.value()?;
            if map.contains_key(&key) {
                return Err(Fault::new(at, format!("this map has the key `{key}` twice")));
            }
            map.insert(key, value);
        }
        self.step();
        Ok(map)
    }

    fn unclosed(&self, open: usize, close: u8) -> Fault {
        let opened = self.text.as_bytes()[open] as char;
        let close = close as char;
        Fault::new(open, format!("this `{opened}` is never closed: expected `{close}`"))
    }

    /// What starts with `#`: a set, a tag, or one of the values that have no other notation.
    fn dispatch(&mut self) -> Read<Value> {
        let start = self.at;
        self.step();
        match self.peek() {
            Some(b'{') => self.sequence(b'}'),
            Some(b'#') => {
                self.step();
                match self.token() {
                    name @ ("Inf" | "-Inf" | "NaN") => Ok(Value::String(name.to_owned())),
                    _ => Err(Fault::new(start, "expected ##Inf, ##-Inf or ##NaN")),
                }
            }
            Some(b':') => {
                self.step();
                let namespace = self.token();
                self.qualified(start, namespace)
            }
            Some(byte) if byte.is_ascii_alphabetic() => {
                self.token();
                self.value()
            }
            _ => Err(Fault::new(start, "`#` starts neither a set, a tag nor a comment here")),
        }
    }

    /// `#:name{:a 1}`, which is how a map prints whose keys all have that namespace.
    fn qualified(&mut self, start: usize, namespace: &str) -> Read<Value> {
        if self.ahead()? != Some(b'{') {
            return Err(Fault::new(start, "expected a map after `#:` and a namespace"));
        }
        let map = self.map()?.into_iter().map(|(key, value)| (format!("{namespace}/{key}"), value));
        Ok(Value::Object(map.collect()))
    }

    fn character(&mut self) -> Read<Value> {
        let start = self.at;
        self.step();
        let Some(first) = self.text[self.at..].chars().next() else {
            return Err(Fault::new(start, "the input ends in the middle of a character"));
        };
        // The first one is taken whatever it is: `\(` and `\;` are characters too.
        self.at += first.len_utf8();
        self.token();
        scalar::character(&self.text[start + 1..self.at])
            .map(|found| Value::String(found.to_string()))
            .ok_or_else(|| Fault::new(start, "this is not a character such as \\a or \\newline"))
    }

    fn string(&mut self) -> Read<String> {
        let open = self.at;
        self.step();
        let mut found = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(plain) = rest.find(['"', '\\']) else {
                return Err(Fault::new(open, "this string is never closed: expected `\"`"));
            };
            found.push_str(&rest[..plain]);
            self.at += plain;
            if rest.as_bytes()[plain] == b'"' {
                self.step();
                return Ok(found);
            }
            let (escaped, length) = scalar::escape(&rest[plain..]).ok_or_else(|| {
                Fault::new(self.at, "this is not an escape such as \\n or \\u263a")
            })?;
            found.push(escaped);
            self.at += length;
        }
    }
}

/// A map's key as the key of an object.
fn name(key: Value, written: &str) -> String {
    match key {
        Value::String(text) => text,
        Value::Null => "nil".to_owned(),
        Value::Bool(_) | Value::Number(_) => key.to_string(),
        // Not printed again: each level of keys within keys would double its quotes.
        Value::Array(_) | Value::Object(_) => written.to_owned(),
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b',' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_delimiter(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b';')
}
