//! Opens a history wherever it is: a file, a compressed file, standard input; in whatever form it is written.
//!
//! What is compressed is told by its first bytes, and so is the form, unless the caller names it. Our own form is read
//! as it streams in, on all processors; the others are read whole first, up to a limit.

use super::Search;
use crate::exit::Failure;
use flate2::read::MultiGzDecoder;
use history::{ForeignOptions, Format, History, HistoryError, Name, Outcome, read_foreign};
use std::fs::File;
use std::io::{Cursor, Error, ErrorKind, Read};
use std::path::Path;

/// So much of the beginning is looked at to tell how a history is written.
const BEGINNING_BYTES: u64 = 1 << 20;
/// The most that is read of a history from elsewhere, decompressed.
const MOST_BYTES: u64 = 4 << 30;
/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The path that means standard input.
pub const STDIN: &str = "-";

/// How to call what lies at `path`.
pub(super) fn name(path: &Path) -> String {
    match path.to_str() {
        Some(STDIN) => "standard input".to_owned(),
        _ => path.display().to_string(),
    }
}

/// Reads the history at `path` as `search` wants it read.
///
/// # Errors
/// When it cannot be read, or is no history.
pub(super) fn read(path: &Path, search: &Search) -> Result<History, Failure> {
    let refused = |e: Error| {
        let failure = Failure::usage(format!("cannot read {}: {e}", name(path)));
        if e.kind() == ErrorKind::NotFound {
            failure.hint("`harness list runs` shows the runs there are")
        } else {
            failure
        }
    };
    let input: Box<dyn Read + Send> = match path.to_str() {
        Some(STDIN) => Box::new(std::io::stdin()),
        _ => Box::new(File::open(path).map_err(refused)?),
    };
    let (beginning, mut input) = decompressed(input).map_err(refused)?;
    if beginning.is_empty() {
        return Err(malformed(path, &HistoryError::Empty));
    }
    let format = match search.format {
        Some(format) => format,
        None => Format::detect(&beginning).ok_or_else(|| undetected(path))?,
    };
    if format == Format::Jsonl && search.independent {
        let problem = format!("{} has its keys in `key` fields", name(path));
        return Err(Failure::usage(format!("{problem}; `--independent` is for other formats")));
    }
    let mut history = if format == Format::Jsonl {
        let whole = Cursor::new(beginning).chain(input);
        let threads = crate::check::threads();
        history::read_jsonl_parallel(whole, threads)
    } else {
        let mut bytes = beginning;
        let room = MOST_BYTES.saturating_sub(bytes.len() as u64);
        input.by_ref().take(room + 1).read_to_end(&mut bytes).map_err(refused)?;
        if bytes.len() as u64 > MOST_BYTES {
            let most = MOST_BYTES >> 30;
            return Err(Failure::usage(format!("{} is larger than {most} GiB", name(path))));
        }
        read_foreign(&bytes, &foreign(format, search))
    }
    .map_err(|error| malformed(path, &error))?;
    override_with(&mut history, search);
    Ok(history)
}

/// What was compressed; where it cannot be had again, in words that name the reason.
struct Plain<R>(MultiGzDecoder<R>);

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes).map_err(|e| match e.kind() {
            ErrorKind::Interrupted => e,
            ErrorKind::UnexpectedEof => Error::other("its compressed data ends too early"),
            _ => Error::other(format!("its compressed data is damaged ({e})")),
        })
    }
}

/// The beginning of what is compressed, if it is, and the rest.
fn decompressed(
    mut input: Box<dyn Read + Send>,
) -> std::io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut beginning = Vec::new();
    input.by_ref().take(BEGINNING_BYTES).read_to_end(&mut beginning)?;
    if !beginning.starts_with(&GZIP) {
        return Ok((beginning, input));
    }
    let mut plain = Plain(MultiGzDecoder::new(Cursor::new(beginning).chain(input)));
    let mut beginning = Vec::new();
    plain.by_ref().take(BEGINNING_BYTES).read_to_end(&mut beginning)?;
    Ok((beginning, Box::new(plain)))
}

fn undetected(path: &Path) -> Failure {
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
    Failure::usage(format!("{} does not begin like a history", name(path)))
        .hint(format!("if it is one, say how it is written: `--format {}`", known.join("|")))
}

fn foreign(format: Format, search: &Search) -> ForeignOptions {
    ForeignOptions {
        workload: search.workload.clone(),
        independent: search.independent,
        initial: search.initial.clone(),
        ..ForeignOptions::new(format)
    }
}

/// Puts what the caller says in the place of what the file says, so that a counterexample written from this history is
/// illegal for whoever reads it without knowing.
pub(super) fn override_with(history: &mut History, search: &Search) {
    if let Some(workload) = &search.workload {
        history.header.workload.clone_from(workload);
    }
    if let Some(initial) = &search.initial {
        history.header.initial.clone_from(initial);
    }
    if search.cas_fail_observes {
        for operation in &mut history.operations {
            if let (true, Outcome::Fail { error, .. }) =
                (operation.f.as_str() == "cas", &mut operation.outcome)
            {
                *error = Some(Name::from(workloads::MISMATCH));
            }
        }
    }
}

pub(super) fn malformed(path: &Path, error: &HistoryError) -> Failure {
    let failure = Failure::usage(format!("{} is not a history: {error}", name(path)));
    match error {
        HistoryError::Workload { .. } => failure.hint(
            "name the workload with `--workload`; `harness list workloads` shows which there are",
        ),
        _ => failure,
    }
}
