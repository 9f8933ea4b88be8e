//! The readable log of a run, and its hash: the same seed gives the same.

use crate::Moment;
use base::Hash;
use std::fmt::Write as _;

/// What was noted in a run. Off by default, for notes cost time.
#[derive(Default)]
pub struct Trace {
    on: bool,
    text: String,
}

impl Trace {
    /// A trace that keeps what it is told.
    #[must_use]
    pub const fn on() -> Self {
        Self { on: true, text: String::new() }
    }
    /// Notes one line; the closure runs only if the trace is on.
    pub fn note(&mut self, now: Moment, line: impl FnOnce() -> String) {
        if self.on {
            writeln!(self.text, "{now} {}", line()).expect("writing to a String cannot fail");
        }
    }
    /// All lines.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The last lines.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let all: Vec<&str> = self.text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
    /// The hash of all lines.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.text.as_bytes())
    }
}
