//! Text that a history repeats on almost every line: functions, keys, reason codes.
//!
//! A history of a million operations has few distinct names. Each is allocated once and shared, so
//! that an operation is small and a copy of a name is a counter.
//!
//! Invariant: the table answers by the whole text. Its memo in front only saves hashing; where two
//! names fight for a slot, or somebody chose names that do, the map behind it decides, whose hash
//! does not let itself be attacked.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A short text, shared among all that have the same; it is used as a `str`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this text; quick where names are short.
    #[inline]
    pub(crate) fn is(&self, text: &str) -> bool {
        let (own, other) = (self.0.as_bytes(), text.as_bytes());
        own.len() == other.len()
            && end_of(own) == end_of(other)
            && (own.len() <= WORD || own == other)
    }
}

/// Bytes that are looked at as one number.
const WORD: usize = size_of::<u64>();

/// The last eight bytes, where keys differ; of a shorter text all there are. Texts of one length up to that differ in it.
#[inline]
fn end_of(text: &[u8]) -> u64 {
    if let Some(last) = text.last_chunk() {
        return u64::from_le_bytes(*last);
    }
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The text of a key that is given as a value. A string is its own text, unless another value has that text: the keys
/// `1` and `"1"` are two, and stay two.
#[must_use]
pub fn key_text(value: &Value) -> String {
    match value {
        Value::String(text) if !is_text_of_another(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_text_of_another(text: &str) -> bool {
    // Texts of other values begin like this, and few names do.
    text.starts_with(|first: char| first.is_ascii_digit() || "-[{\"tfn".contains(first))
        && serde_json::from_str::<Value>(text).is_ok()
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

// Sound for maps: hash and order of `Arc<str>` are those of its text.
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Name> for Arc<str> {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// Slots of the memo; a power of two. A kv run has some hundred keys alive.
const SLOTS: usize = 4096;

/// Every distinct name met so far.
pub(crate) struct Names {
    all: HashSet<Name>,
    /// The name met last among those that share a slot.
    memo: Vec<Option<Name>>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { all: HashSet::new(), memo: vec![None; SLOTS] }
    }

    /// The shared name of this text.
    pub(crate) fn share(&mut self, text: &str) -> Name {
        let slot = &mut self.memo[slot(text.as_bytes())];
        if let Some(name) = slot
            && name.is(text)
        {
            return name.clone();
        }
        let name = match self.all.get(text) {
            Some(name) => name.clone(),
            None => {
                let name = Name::from(text);
                self.all.insert(name.clone());
                name
            }
        };
        *slot = Some(name.clone());
        name
    }
}

/// Mixes the length with the end.
fn slot(text: &[u8]) -> usize {
    let mixed = (end_of(text) ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_types_are_different_keys() {
        use serde_json::json;
        let keys = [
            json!(1),
            json!("1"),
            json!("k"),
            json!(null),
            json!("null"),
            json!("\"1\""),
            json!("-"),
        ];
        let texts: std::collections::BTreeSet<String> = keys.iter().map(key_text).collect();
        assert_eq!(texts.len(), keys.len(), "{texts:?}");
        assert_eq!(key_text(&json!("k1")), "k1");
        assert_eq!(key_text(&json!(1)), "1");
    }

    #[test]
    fn a_name_is_its_text_and_no_other() {
        // One byte differs, at every place of every length around a word or two.
        for length in 0..20 {
            let text = "abcdefghijklmnopqrst"[..length].to_owned();
            let name = Name::from(text.as_str());
            assert!(name.is(&text) && !name.is(&format!("{text}u")), "{text}");
            for place in 0..length {
                let mut other = text.clone().into_bytes();
                other[place] = b'_';
                let other = String::from_utf8(other).expect("ASCII");
                assert!(!name.is(&other) && name.is(&text), "{other}");
            }
        }
    }

    #[test]
    fn equal_texts_share_and_different_texts_never_do() {
        let mut names = Names::new();
        // Far more names than slots: most meet an occupied one.
        let texts: Vec<String> = (0..5 * SLOTS).map(|number| format!("key{number}")).collect();
        let first: Vec<Name> = texts.iter().map(|text| names.share(text)).collect();
        for (text, name) in texts.iter().zip(&first) {
            assert_eq!(name, text.as_str());
            assert!(Arc::ptr_eq(&names.share(text).0, &name.0), "{text} was allocated twice");
        }
        assert_eq!(names.share(""), "");
    }
}
