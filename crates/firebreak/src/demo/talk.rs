//! What the demo says while it runs: a bar on a terminal, plain lines otherwise.

use super::report::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Speaks on standard error and remembers what happened.
#[derive(Clone)]
pub struct Talk {
    start: Instant,
    bar: ProgressBar,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Talk {
    /// Starts the demo's clock.
    pub fn new() -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        Self { start: Instant::now(), bar, events: Arc::default() }
    }

    /// Milliseconds since the demo began.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Something happened in a region: said and kept for the report.
    pub fn event(&self, region: &str, what: &str) {
        let event = Event { t_ms: self.now_ms(), region: region.to_owned(), what: what.to_owned() };
        let line = format!("{:8.3} s  {region:8} {what}", self.start.elapsed().as_secs_f64());
        self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
        self.line(&line);
    }

    /// A line above the bar.
    #[expect(clippy::print_stderr, reason = "progress is talk")]
    pub fn line(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Shows work of a known size.
    pub fn begin(&self, what: &'static str, size: usize) {
        let form = "{msg} [{bar:40}] {pos}/{len} {elapsed}";
        self.bar.set_style(ProgressStyle::with_template(form).expect("the template is valid"));
        self.bar.set_message(what);
        self.bar.set_length(size as u64);
        self.bar.set_position(0);
    }

    /// Goes on in it.
    pub fn advance(&self, by: usize) {
        self.bar.inc(by as u64);
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// What happened so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
