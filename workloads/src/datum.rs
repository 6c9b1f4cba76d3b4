//! One value of a key, as a spec sees it: ordered, hashable, cheap to copy.

use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// A JSON value other than null. Integers are what our generators write; anything else, from histories recorded
/// elsewhere, is compared by its canonical text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// A whole number.
    Integer(i64),
    /// Any other JSON value, as compact text with sorted keys.
    Text(Arc<str>),
}

impl Datum {
    /// The value, none for null.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Null => None,
            _ => Some(
                value.as_i64().map_or_else(|| Self::Text(value.to_string().into()), Self::Integer),
            ),
        }
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
