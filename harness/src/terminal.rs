//! The only code that prints.
//!
//! Progress and errors go to stderr, the summary (or with `--json` the verdict document) to stdout.
//! On a terminal the line that tells how the work goes is redrawn in place, at most ten times a
//! second; elsewhere each phase and fault gets one line, and a beat comes every ten seconds. Every
//! word stands without colour. What is printed is made by pure functions ([`status`], [`summary`]),
//! so tests look at values. A reader that went away is no error; an answer that cannot be written for another reason is.

pub mod listing;
pub mod simulated;
pub mod status;
pub mod style;
pub mod summary;
mod timeline;

#[cfg(test)]
mod tests;

use crate::event::{Event, Sink};
use crate::exit::Failure;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use style::Style;

/// Shortest time between two redraws of the live line.
const REDRAW: Duration = Duration::from_millis(100);
/// Time between two beats where lines cannot be redrawn.
const BEAT: Duration = Duration::from_secs(10);

/// Shows progress on stderr.
pub struct Terminal {
    style: Style,
    live: bool,
    quiet: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether a live line stands on the screen.
    drawn: bool,
    /// When a beat was last shown, in run time.
    beat: Option<Duration>,
}

impl Terminal {
    /// Looks at stderr and the environment.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let style = Style::stderr();
        let live = std::io::stderr().is_terminal() && !style.dumb;
        Self { style, live, quiet, state: Mutex::default() }
    }

    fn show(&self, state: &mut State, at: Duration, event: &Event) -> Option<String> {
        let elapsed = match event {
            Event::Beat(beat) => Some(beat.elapsed),
            Event::Simulated { .. } => Some(at),
            _ => None,
        };
        if let Some(elapsed) = elapsed {
            let every = if self.live { REDRAW } else { BEAT };
            let due = state.beat.is_none_or(|last| at >= last + every);
            if !due || (!self.live && elapsed < BEAT) {
                return None;
            }
            state.beat = Some(at);
        }
        if self.live { status::live(event, at) } else { None }
            .map(|text| {
                let fitted: String = text.chars().take(columns().saturating_sub(1)).collect();
                state.drawn = true;
                format!("\r\x1b[2K{}", self.style.status(&fitted))
            })
            .or_else(|| {
                let line = status::line(event, at)?;
                let clear = if std::mem::take(&mut state.drawn) { "\r\x1b[2K" } else { "" };
                Some(format!("{clear}{}\n", self.style.status(&line)))
            })
    }

    /// Removes the live line, so that what follows starts on a line of its own.
    pub fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.drawn) {
            to_stderr("\r\x1b[2K");
        }
    }
}

impl Sink for Terminal {
    fn emit(&self, at: Duration, event: Event) {
        if self.quiet {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = self.show(&mut state, at, &event) {
            to_stderr(&text);
        }
    }
}

/// Columns of the terminal behind stderr; 100 when it does not say.
fn columns() -> usize {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize` through the pointer, which is valid for that write.
    let answer = unsafe { libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    if answer == 0 && size.ws_col > 0 { usize::from(size.ws_col) } else { 100 }
}

/// Prints to stdout; a reader that went away is no error.
///
/// # Errors
/// When it cannot be written, such as to a full disk.
pub fn to_stdout(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::environment(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(()),
    }
}

/// Prints to stderr; a reader that went away is no error.
pub fn to_stderr(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Shows an expected error: one sentence, its evidence, its hints.
pub fn failure(failure: &Failure) {
    to_stderr(&render_failure(failure, &Style::stderr()));
}

fn render_failure(failure: &Failure, style: &Style) -> String {
    let mut text = format!("{} {}\n", style.bad("error:"), failure.message);
    for line in &failure.details {
        text.push_str(&format!("  {}\n", style.dim(line)));
    }
    if !failure.hints.is_empty() {
        text.push('\n');
    }
    for hint in &failure.hints {
        text.push_str(&format!("  {} {hint}\n", style.path("hint:")));
    }
    text
}

/// From now on a panic prints one sentence; with RUST_BACKTRACE set, the usual report as well.
pub fn install_panic_hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let said = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = panic.location().map_or(String::new(), |at| format!(" at {at}"));
        to_stderr(&format!("error: internal error{place}: {said}; please report it\n"));
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            usual(panic);
        }
    }));
}
