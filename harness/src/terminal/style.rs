//! Colour, or none: green valid, red invalid, yellow unknown, cyan paths, dim context. Where the
//! terminal is dumb, plain letters replace the drawing characters too.

use crate::verdict::Ruling;
use std::io::IsTerminal;

/// How to write for one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are welcome.
    pub colour: bool,
    /// Whether only plain letters are.
    pub dumb: bool,
}

impl Style {
    /// For stdout, from the environment.
    #[must_use]
    pub fn stdout() -> Self {
        Self::of(std::io::stdout().is_terminal())
    }

    /// For stderr, from the environment.
    #[must_use]
    pub fn stderr() -> Self {
        Self::of(std::io::stderr().is_terminal())
    }

    fn of(terminal: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: terminal && !dumb && !refused, dumb }
    }

    /// Green.
    #[must_use]
    pub fn good(&self, text: &str) -> String {
        self.paint("32;1", text)
    }

    /// Red.
    #[must_use]
    pub fn bad(&self, text: &str) -> String {
        self.paint("31;1", text)
    }

    /// Yellow.
    #[must_use]
    pub fn doubt(&self, text: &str) -> String {
        self.paint("33;1", text)
    }

    /// Cyan: hints and paths.
    #[must_use]
    pub fn path(&self, text: &str) -> String {
        self.paint("36", text)
    }

    /// Dim: context.
    #[must_use]
    pub fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    /// The colour of a ruling.
    #[must_use]
    pub fn ruling(&self, ruling: Ruling, text: &str) -> String {
        match ruling {
            Ruling::Valid => self.good(text),
            Ruling::Unknown => self.doubt(text),
            Ruling::Error | Ruling::Invalid => self.bad(text),
        }
    }

    /// A status line: its first word, right-aligned in twelve columns, stands out.
    #[must_use]
    pub fn status(&self, line: &str) -> String {
        let at = line.char_indices().nth(12).map_or(line.len(), |(at, _)| at);
        let (word, rest) = line.split_at(at);
        let word = match word.trim() {
            "Fault" | "Warning" | "Stopping" => self.doubt(word),
            bar if bar.contains(['━', '╸']) => return self.plain(line),
            _ => self.good(word),
        };
        self.plain(&format!("{word}{rest}"))
    }

    /// The text itself, or for a dumb terminal its plain letters.
    #[must_use]
    pub fn plain(&self, text: &str) -> String {
        if !self.dumb {
            return text.to_owned();
        }
        let mut plain = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '·' | '─' | '━' | '–' => plain.push('-'),
                '├' | '┤' | '┃' | '│' => plain.push('|'),
                '╸' => plain.push('>'),
                '░' => plain.push('.'),
                '→' => plain.push_str("->"),
                '✗' => plain.push('X'),
                '…' => plain.push_str("..."),
                other => plain.push(other),
            }
        }
        plain
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
