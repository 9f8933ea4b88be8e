//! How much may wait at one time: requests, and the bytes kept to be able to send them again.

use base::AccountName;
use std::collections::BTreeMap;

/// Limits on what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldLimits {
    /// How long a request is held at most, in milliseconds.
    pub hold_ms: u64,
    /// Bytes of bodies kept, over all requests under way.
    pub hold_bytes: u64,
    /// Requests under way.
    pub hold_requests: u64,
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self { hold_ms: 20_000, hold_bytes: 256 << 20, hold_requests: 4_096 }
    }
}

/// Counts what waits. No account takes more than half of the places as long as there are others
/// under way, so that one account's failover does not refuse another's requests.
#[derive(Debug)]
pub struct Holds {
    limits: HoldLimits,
    requests: BTreeMap<AccountName, u64>,
    total: u64,
    bytes: u64,
}

impl Holds {
    /// Nothing waits.
    #[must_use]
    pub const fn new(limits: HoldLimits) -> Self {
        Self { limits, requests: BTreeMap::new(), total: 0, bytes: 0 }
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &HoldLimits {
        &self.limits
    }

    /// Takes a place for a request, if there is one; give it back with [`Holds::leave`].
    pub fn enter(&mut self, account: &AccountName) -> bool {
        let own = self.requests.get(account).copied().unwrap_or(0);
        let alone = own == self.total;
        let share = if alone { self.limits.hold_requests } else { self.limits.hold_requests / 2 };
        let fits = self.total < self.limits.hold_requests && own < share.max(1);
        if fits {
            *self.requests.entry(account.clone()).or_default() += 1;
            self.total += 1;
        }
        fits
    }

    /// Gives a place back, with the bytes kept for it.
    pub fn leave(&mut self, account: &AccountName, bytes: u64) {
        self.total = self.total.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(own) = self.requests.get_mut(account) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.requests.remove(account);
            }
        }
    }

    /// Takes room for bytes of a body, if there is some.
    pub fn keep(&mut self, bytes: u64) -> bool {
        let fits = self.bytes.saturating_add(bytes) <= self.limits.hold_bytes;
        if fits {
            self.bytes += bytes;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AccountName {
        text.parse().expect("a name")
    }

    #[test]
    fn one_account_leaves_room_for_the_others() {
        let limits = HoldLimits { hold_requests: 4, ..HoldLimits::default() };
        let mut holds = Holds::new(limits);
        assert!(holds.enter(&name("b")));
        assert!(holds.enter(&name("a")) && holds.enter(&name("a")));
        assert!(!holds.enter(&name("a")), "half of the places are taken");
        assert!(holds.enter(&name("b")));
        assert!(!holds.enter(&name("c")), "all places are taken");
        holds.leave(&name("a"), 0);
        assert!(holds.enter(&name("c")));
    }

    #[test]
    fn bytes_are_bounded_and_given_back() {
        let limits = HoldLimits { hold_bytes: 10, ..HoldLimits::default() };
        let mut holds = Holds::new(limits);
        assert!(holds.enter(&name("a")) && holds.keep(6));
        assert!(!holds.keep(5));
        holds.leave(&name("a"), 6);
        assert!(holds.keep(10));
    }
}
