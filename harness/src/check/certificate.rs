//! The certificate of a valid history: for each key an order that anybody can replay.
//!
//! JSON Lines: a header `{"certificate":1,"workload":"kv","initial":null}`, then one line a key,
//! `{"key":"k7","order":[0,4,2]}`. The numbers are the indexes of invocations. Every operation that was answered is in
//! the order of its key once, those of unknown outcome only if they have to have happened; each answer is the one that
//! a sequential object gives, and no operation comes after one that was invoked after it had ended.

use crate::exit::Failure;
use checker::Order;
use history::Header;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Version of the format.
const FORMAT: u32 = 1;

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
