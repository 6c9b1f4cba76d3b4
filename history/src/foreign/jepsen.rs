//! Jepsen's `history.edn`: operations as EDN maps, one a line, or all of them within one vector or
//! list, as Knossos keeps them.
//!
//! A tag such as `#jepsen.history.Op` before a map changes nothing.

use super::edn::Reader;
use super::raw::{RawEvent, Recorded};
use super::text::{Fault, Text};
use crate::HistoryError;
use serde_json::Value;

/// Every operation in the order written.
pub(super) fn read(text: &Text<'_>) -> Result<Recorded, HistoryError> {
    let mut reader = Reader::new(text.as_str(), 0);
    let refuse = |fault| text.refuse(fault);
    let mut events = Vec::new();
    let mut enclosed = false;
    while let Some(byte) = reader.ahead().map_err(refuse)? {
        let close = match byte {
            b'[' => b']',
            b'(' => b')',
            _ if enclosed => {
                let problem = "something follows the one vector or list of operations";
                return Err(refuse(Fault::new(reader.at(), problem)));
            }
            _ => {
                events.push(operation(&mut reader, text)?);
                continue;
            }
        };
        if enclosed || !events.is_empty() {
            let problem = "expected one operation after another, or one vector or list of them";
            return Err(refuse(Fault::new(reader.at(), problem)));
        }
        enclosed = true;
        let open = reader.at();
        reader.step();
        loop {
            match reader.ahead().map_err(refuse)? {
                Some(byte) if byte == close => break reader.step(),
                Some(_) => events.push(operation(&mut reader, text)?),
                None => {
                    let problem = format!("this is never closed: expected `{}`", close as char);
                    return Err(refuse(Fault::new(open, problem)));
                }
            }
        }
    }
    Ok(Recorded { events, left_out: false })
}

/// The operation that `Reader::ahead` has announced.
fn operation(reader: &mut Reader<'_>, text: &Text<'_>) -> Result<RawEvent, HistoryError> {
    let at = reader.at();
    let event = match reader.value().map_err(|fault| text.refuse(fault))? {
        Value::Object(map) => RawEvent::from_map(map, text.line(at)),
        _ => Err("expected an operation, a map such as {:process 0, :type :invoke, …}".to_owned()),
    };
    event.map_err(|problem| text.refuse(Fault::new(at, problem)))
}
