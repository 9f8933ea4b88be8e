//! How far the secondary is behind, in time.

use base::{BootTime, Seq, Span};
use std::collections::VecDeque;

/// Commits noted within this time of each other count as the earliest of them.
const GRAIN: Span = Span::from_ms(1);
/// Entries kept; beyond, neighbours are merged, which only ever makes a lag look longer.
const ENTRIES_MAX: usize = 8192;

/// Since when the commits wait that are not known durable in the secondary. The lag is the age of
/// the oldest: PROTOCOL.md M1, on the boot-time clock.
#[derive(Clone, Debug, Default)]
pub struct Lag {
    /// All up to this seq have waited since at most this moment; oldest first.
    waiting: VecDeque<(Seq, BootTime)>,
    acked: Seq,
}

impl Lag {
    /// Notes that commits up to `seq` are durable here, or asked about: they wait from now.
    pub fn note(&mut self, seq: Seq, now: BootTime) {
        if seq <= self.acked {
            return;
        }
        match self.waiting.back_mut() {
            Some((last, _)) if *last >= seq => {}
            Some((last, since)) if now.since(*since) < GRAIN => *last = seq,
            _ => {
                self.waiting.push_back((seq, now));
                if self.waiting.len() > ENTRIES_MAX {
                    self.thin();
                }
            }
        }
    }

    /// Notes that the secondary holds all up to `seq` durably.
    pub fn acked(&mut self, seq: Seq) {
        self.acked = self.acked.max(seq);
        while self.waiting.front().is_some_and(|(last, _)| *last <= self.acked) {
            self.waiting.pop_front();
        }
    }

    /// The highest commit known durable in the secondary.
    #[must_use]
    pub const fn acked_to(&self) -> Seq {
        self.acked
    }

    /// Forgets what the secondary holds: what it said in another epoch does not count (M1).
    pub fn forget(&mut self, now: BootTime) {
        let noted = self.waiting.back().map_or(self.acked, |(last, _)| *last);
        // The commits acknowledged before have no age of their own any more: they wait from now,
        // in front of those that wait already, and so share the age of the oldest.
        self.acked = Seq::ZERO;
        if self.waiting.is_empty() {
            self.note(noted, now);
        }
    }

    /// Since when the oldest commit waits; `None` when nothing does.
    #[must_use]
    pub fn waiting_since(&self) -> Option<BootTime> {
        self.waiting.front().map(|(_, since)| *since)
    }

    /// The age of the oldest commit that waits.
    #[must_use]
    pub fn age(&self, now: BootTime) -> Span {
        self.waiting_since().map_or(Span::ZERO, |since| now.since(since))
    }

    /// Merges neighbours: the later seq with the earlier time.
    fn thin(&mut self) {
        let mut merged = VecDeque::with_capacity(self.waiting.len() / 2 + 1);
        while let Some((mut last, since)) = self.waiting.pop_front() {
            if let Some((next, _)) = self.waiting.pop_front() {
                last = next;
            }
            merged.push_back((last, since));
        }
        self.waiting = merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list of every commit with its own time.
        #[test]
        fn the_lag_is_never_too_short_and_at_most_a_grain_too_long(
            steps in proptest::collection::vec((0u64..3000, prop::option::of(0u64..40)), 1..200)
        ) {
            let (mut lag, mut all, mut now, mut acked) = (Lag::default(), Vec::new(), 0, 0);
            for (us, ack) in steps {
                now += us;
                match ack {
                    Some(more) => {
                        acked = (acked + more).min(all.len() as u64);
                        lag.acked(Seq::new(acked));
                    }
                    None => {
                        all.push(BootTime::from_us(now));
                        lag.note(Seq::new(all.len() as u64), BootTime::from_us(now));
                    }
                }
                let oldest = usize::try_from(acked).ok().and_then(|acked| all.get(acked));
                let now = BootTime::from_us(now);
                let exact = oldest.map(|since| now.since(*since));
                prop_assert_eq!(exact.is_some(), lag.waiting_since().is_some());
                let exact = exact.unwrap_or_default();
                prop_assert!(lag.age(now) >= exact && lag.age(now) <= exact + GRAIN);
            }
        }
    }

    #[test]
    fn the_list_of_times_is_bounded() {
        let mut lag = Lag::default();
        for n in 1..100_000u64 {
            lag.note(Seq::new(n), BootTime::from_us(n * 2000));
        }
        assert!(lag.waiting.len() <= ENTRIES_MAX);
        assert_eq!(lag.waiting_since(), Some(BootTime::from_us(2000)));
        lag.acked(Seq::new(99_999));
        assert_eq!(lag.waiting_since(), None);
    }
}
