//! What a node says on stderr: one line an event, milliseconds since the process asked for its first line.
//!
//! ```text
//!      412 info  leads term 3
//! ```
//!
//! Only facts that explain a run are logged (roles, elections, recovery, connections, failures), never a
//! single operation. A line that cannot be written is dropped: a node does not stop for its log.

use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Part of normal work.
    Info,
    /// Something went wrong that the node can live with.
    Warn,
    /// The node cannot go on.
    Error,
}

static SILENT: AtomicBool = AtomicBool::new(false);

/// Logs nothing from now on: for tests that run nodes inside their own process.
pub fn silence() {
    SILENT.store(true, Ordering::Relaxed);
}

/// Writes one line.
pub fn line(level: Level, message: fmt::Arguments<'_>) {
    if SILENT.load(Ordering::Relaxed) {
        return;
    }
    static START: OnceLock<Instant> = OnceLock::new();
    let milliseconds = START.get_or_init(Instant::now).elapsed().as_millis();
    let word = match level {
        Level::Info => "info ",
        Level::Warn => "warn ",
        Level::Error => "error",
    };
    let text = format!("{milliseconds:>8} {word} {message}\n");
    // Nowhere is left to say that stderr is gone.
    drop(io::stderr().write_all(text.as_bytes()));
}

/// Logs a line of normal work.
macro_rules! info {
    ($($argument:tt)*) => { $crate::log::line($crate::log::Level::Info, format_args!($($argument)*)) };
}

/// Logs something that went wrong.
macro_rules! warning {
    ($($argument:tt)*) => { $crate::log::line($crate::log::Level::Warn, format_args!($($argument)*)) };
}

pub(crate) use {info, warning};
