//! The certificate of a valid history: for each key an order that anybody can replay.
//!
//! Nothing but an old certificate is ever written over or removed: a slip of the fingers costs nobody a history.
//!
//! JSON Lines: a header `{"certificate":1,"workload":"kv","initial":null}`, then one line a key,
//! `{"key":"k7","order":[0,4,2]}`. The numbers are the indexes of invocations. Every operation that was answered is in
//! the order of its key once, those of unknown outcome only if they have to have happened; each answer is the one that
//! a sequential object gives, and no operation comes after one that was invoked after it had ended.

use super::STDIN;
use crate::exit::Failure;
use checker::Order;
use history::Header;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Version of the format.
const FORMAT: u32 = 1;
/// A header is never longer than so many bytes.
const HEADER_BYTES: u64 = 1 << 20;

/// Refuses a place that holds something else.
///
/// # Errors
/// When there is a file that is no certificate, or the path means standard output.
pub fn may_be_written(path: &Path) -> Result<(), Failure> {
    let name = path.display();
    if path.as_os_str() == STDIN {
        return Err(Failure::usage("a certificate is written to a file, and `-` is none")
            .hint("name a new file with `--certificate`"));
    }
    match found(path) {
        Found::Other => Err(Failure::usage(format!("{name} is there already and no certificate"))
            .hint("name a new file with `--certificate`")),
        Found::Nothing | Found::Certificate => Ok(()),
    }
}

/// Removes an earlier certificate of that name, which says nothing of the history that was judged now.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove_old(path: &Path) -> Result<(), Failure> {
    match found(path) {
        Found::Certificate => std::fs::remove_file(path).map_err(|e| {
            let name = path.display();
            Failure::environment(format!("cannot remove the old certificate {name}: {e}"))
        }),
        Found::Nothing | Found::Other => Ok(()),
    }
}

/// What lies at a path.
enum Found {
    /// Nothing that could be lost: no file, an empty one, a pipe or a device.
    Nothing,
    Certificate,
    Other,
}

fn found(path: &Path) -> Found {
    match std::fs::metadata(path) {
        Err(_) => return Found::Nothing,
        Ok(about) if about.is_dir() => return Found::Other,
        Ok(about) if !about.is_file() || about.len() == 0 => return Found::Nothing,
        Ok(_) => {}
    }
    let mut header = Vec::new();
    let read = File::open(path)
        .and_then(|file| BufReader::new(file).take(HEADER_BYTES).read_until(b'\n', &mut header));
    let header = serde_json::from_slice::<serde_json::Value>(&header);
    match (read, header) {
        (Ok(_), Ok(header)) if header.get("certificate").is_some() => Found::Certificate,
        _ => Found::Other,
    }
}

/// Writes a certificate.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, header: &Header, orders: &[Order]) -> Result<(), Failure> {
    let written = File::create(path).map(BufWriter::new).and_then(|mut file| {
        let head = json!({
            "certificate": FORMAT,
            "workload": header.workload,
            "initial": header.initial,
        });
        writeln!(file, "{head}")?;
        for order in orders {
            writeln!(file, "{}", json!({ "key": order.key, "order": order.operations }))?;
        }
        file.flush()
    });
    written.map_err(|e| {
        Failure::environment(format!("cannot write the certificate {}: {e}", path.display()))
    })
}
