//! What happens next: virtual time and the queue of things to come.

use base::Span;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt;
use std::ops::Add;

/// A moment of true time, in microseconds since the run began. No member can read it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Moment(u64);

impl Moment {
    /// The beginning of the run.
    pub const START: Self = Self(0);
    /// From microseconds.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self(us)
    }
    /// From seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000)
    }
    /// In microseconds.
    #[must_use]
    pub const fn us(self) -> u64 {
        self.0
    }
    /// How long after `earlier`; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span::from_us(self.0.saturating_sub(earlier.0))
    }
}
impl Add<Span> for Moment {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0 + span.us())
    }
}
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

struct Entry<T> {
    at: Moment,
    order: u64,
    item: T,
}
impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<T> Eq for Entry<T> {}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Things to come, in order of time and then of their being planned.
pub struct Agenda<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    order: u64,
    now: Moment,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), order: 0, now: Moment::START }
    }
}

impl<T> Agenda<T> {
    /// True time.
    #[must_use]
    pub const fn now(&self) -> Moment {
        self.now
    }
    /// Plans something; what is past happens now.
    pub fn at(&mut self, at: Moment, item: T) {
        self.order += 1;
        let at = at.max(self.now);
        self.heap.push(Reverse(Entry { at, order: self.order, item }));
    }
    /// Plans something after a span of true time.
    pub fn after(&mut self, span: Span, item: T) {
        self.at(self.now + span, item);
    }
    /// Takes the next thing if it comes no later than `limit`; else moves time to `limit`.
    pub fn next_until(&mut self, limit: Moment) -> Option<T> {
        match self.heap.peek() {
            Some(Reverse(entry)) if entry.at <= limit => {
                let Reverse(entry) = self.heap.pop().expect("it was just seen");
                self.now = entry.at;
                Some(entry.item)
            }
            _ => {
                self.now = self.now.max(limit);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_order_of_time_then_of_planning() {
        let mut agenda = Agenda::default();
        agenda.at(Moment::from_us(20), "c");
        agenda.at(Moment::from_us(10), "a");
        agenda.at(Moment::from_us(10), "b");
        let limit = Moment::from_us(15);
        assert_eq!(agenda.next_until(limit), Some("a"));
        assert_eq!(agenda.next_until(limit), Some("b"));
        assert_eq!(agenda.next_until(limit), None);
        assert_eq!(agenda.now(), limit);
    }
}
