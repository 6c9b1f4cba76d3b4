//! The JSON that elle-cli reads: Jepsen's maps as JSON objects, all in one array or one a line.
//!
//! JSON readers usually forgive what must not be forgiven here: of two fields of one name they keep
//! the last, and an integer beyond 64 bits becomes the nearest double, which makes different values
//! equal. Both are refused.

use super::raw::{RawEvent, Recorded};
use super::text::{Fault, Text};
use crate::HistoryError;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The first double that may stand for an integer beyond 64 bits.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Every operation in the order written.
pub(super) fn read(text: &Text<'_>) -> Result<Recorded, HistoryError> {
    operations(text).map(|events| Recorded { events, left_out: false })
}

fn operations(text: &Text<'_>) -> Result<Vec<RawEvent>, HistoryError> {
    let input = text.as_str();
    let mut events = Vec::new();
    let mut at = blanks(input, 0);
    let array = input[at..].starts_with('[');
    if array {
        at = blanks(input, at + 1);
        if input[at..].starts_with(']') {
            return end(text, at + 1).map(|()| events);
        }
    }
    while at < input.len() {
        let (map, next) = object(text, at)?;
        let event = RawEvent::from_map(map, text.line(at));
        events.push(event.map_err(|problem| text.refuse(Fault::new(at, problem)))?);
        at = blanks(input, next);
        if array {
            match input.as_bytes().get(at) {
                Some(b',') => at = blanks(input, at + 1),
                Some(b']') => return end(text, at + 1).map(|()| events),
                _ => return Err(text.refuse(Fault::new(at, "expected `,` or `]`"))),
            }
        }
    }
    match array {
        true => Err(text.refuse(Fault::new(at, "the input ends within its array"))),
        false => Ok(events),
    }
}

/// The offset of the first byte at or after this one that is no blank.
fn blanks(input: &str, at: usize) -> usize {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    at + input.as_bytes()[at..].iter().take_while(|byte| blank(byte)).count()
}

fn end(text: &Text<'_>, at: usize) -> Result<(), HistoryError> {
    let at = blanks(text.as_str(), at);
    match at == text.as_str().len() {
        true => Ok(()),
        false => Err(text.refuse(Fault::new(at, "something follows the array of operations"))),
    }
}

/// The object that starts here, and the offset of what follows it.
fn object(text: &Text<'_>, at: usize) -> Result<(Map<String, Value>, usize), HistoryError> {
    let rest = &text.as_str()[at..];
    let refuse = |at, problem: &str| text.refuse(Fault::new(at, problem));
    if !rest.starts_with('{') {
        return Err(refuse(at, "expected an operation, an object such as {\"process\":0,…}"));
    }
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Exact>();
    match values.next() {
        Some(Ok(Exact(Value::Object(map)))) => Ok((map, at + values.byte_offset())),
        Some(Ok(_)) | None => Err(refuse(at, "expected an operation, an object")),
        Some(Err(error)) => {
            let skipped: usize =
                rest.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
            let place = (skipped + error.column().saturating_sub(1)).min(rest.len());
            let said = error.to_string();
            let problem = said.split_once(" at line ").map_or(&*said, |(problem, _)| problem);
            Err(refuse(at + place, problem))
        }
    }
}

/// A value of which no integer was rounded and no field forgotten.
struct Exact(Value);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Exactly).map(Exact)
    }
}

struct Exactly;

impl<'de> Visitor<'de> for Exactly {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) if value.abs() < TWO_TO_63 => Ok(Value::Number(number)),
            _ => Err(E::custom("this number is too large to be kept exactly")),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Exact(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the field `{name}` is there twice")));
            }
            let Exact(value) = fields.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
