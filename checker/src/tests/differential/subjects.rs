//! The data types that are asked about, each with its operations and a way to draw them.
//!
//! What is drawn is what the algorithms decide, with some of what they decline among it.

pub(crate) mod counter;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod member;
pub(crate) mod queue;
pub(crate) mod register;
pub(crate) mod set;
pub(crate) mod string;
pub(crate) mod transactions;

/// The other of two values; any third stays what it is.
fn other(value: u8) -> u8 {
    match value {
        1 => 2,
        2 => 1,
        value => value,
    }
}

/// The whole number that goes with a place in a sequence, never 0, and new for a long time.
fn fresh(count: u64) -> u8 {
    1 + (count % 255) as u8
}
