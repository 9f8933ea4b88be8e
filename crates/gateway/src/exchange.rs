//! One client's request, from its arrival to its one answer.
//!
//! ```text
//!           ┌────────── Wait ◀─────────┐
//!           ▼                          │ again, nothing to send to
//! arrived ─ Send ──▶ attempt ──▶ after ┤
//!                                      ├─ the answer of a region, passed on
//!                                      └─ give up: 503, and whether it may have been applied
//! ```
//! **Invariant**: a success is only ever a region's own. **Invariant**: an unsafe request is sent
//! again only where it certainly was not applied, or carries an idempotency key and is whole.

use crate::{Route, Routes, Target};
use base::{AccountName, BootTime, Span};

/// What may be done with a request more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing: GET, HEAD, OPTIONS, and searches by POST.
    Safe,
    /// It carries an idempotency key, and its body is kept here.
    Keyed,
    /// Its body streams through: once begun it cannot be sent again.
    Never,
}

/// Whether a request changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Certainly not.
    No,
    /// It may have.
    Unknown,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No byte of it reached the region.
    NotSent,
    /// The connection broke, or the region was given up, without an answer.
    Lost,
    /// A region answered.
    Answered {
        /// HTTP status.
        status: u16,
        /// What `X-Firebreak-Applied` says.
        applied: Option<Applied>,
    },
}

/// What to do with an ended attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pass the region's answer on.
    Pass,
    /// Try again, when [`Exchange::next`] says.
    Again,
    /// Answer 503.
    GiveUp(Applied),
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send it there.
    Send(Target),
    /// Look again at this time, or when something is learned.
    Wait(BootTime),
    /// Answer 404: no such account.
    NoSuchAccount,
    /// Answer 503.
    GiveUp(Applied),
}

/// One request under way.
#[derive(Clone, Debug)]
pub struct Exchange {
    account: AccountName,
    repeat: Repeat,
    until: BootTime,
    doubt: bool,
    again_at: BootTime,
    pause: Span,
}

/// First and longest pause after a region refused for the moment.
const PAUSE: (Span, Span) = (Span::from_ms(5), Span::from_ms(100));

impl Exchange {
    /// A request that arrived at `now` and may be held for `hold`.
    #[must_use]
    pub const fn new(account: AccountName, repeat: Repeat, until: BootTime) -> Self {
        Self { account, repeat, until, doubt: false, again_at: BootTime::ZERO, pause: Span::ZERO }
    }

    /// The account it is for.
    #[must_use]
    pub const fn account(&self) -> &AccountName {
        &self.account
    }

    /// Where it goes now.
    #[must_use]
    pub fn next(&self, routes: &Routes, now: BootTime) -> Next {
        if now >= self.until {
            return Next::GiveUp(self.applied());
        }
        let wait = |at: BootTime| Next::Wait(at.min(self.until));
        match routes.route(&self.account, now) {
            Route::NoSuchAccount => Next::NoSuchAccount,
            Route::Wait(at) => wait(at),
            Route::To(_) if now < self.again_at => wait(self.again_at),
            Route::To(target) => Next::Send(target),
        }
    }

    /// Something was learned: a pause that was for an older state of things is over.
    pub fn news(&mut self) {
        self.again_at = BootTime::ZERO;
    }

    /// What to do with an ended attempt.
    pub fn after(&mut self, ended: Ended, now: BootTime) -> Verdict {
        let (again, applied) = match ended {
            // Also where it was not sent: what streams has been handed over.
            Ended::NotSent => (self.repeat != Repeat::Never, Applied::No),
            Ended::Lost => (self.repeat != Repeat::Never, Applied::Unknown),
            Ended::Answered { status, applied } => {
                // 421: not the primary. 502, 504: a region passed it on and heard nothing.
                if !matches!(status, 421 | 502 | 503 | 504) {
                    return Verdict::Pass;
                }
                let applied = match (status, applied) {
                    (421, _) => Applied::No,
                    (_, said) => said.unwrap_or(Applied::Unknown),
                };
                // A streamed body is gone, even where nothing was applied.
                (self.repeat != Repeat::Never, applied)
            }
        };
        self.doubt |= applied == Applied::Unknown && self.repeat != Repeat::Safe;
        if !again {
            return match ended {
                Ended::Answered { .. } => Verdict::Pass,
                _ => Verdict::GiveUp(self.applied()),
            };
        }
        if now >= self.until {
            return Verdict::GiveUp(self.applied());
        }
        let doubled = self.pause + self.pause;
        self.pause = doubled.clamp(PAUSE.0, PAUSE.1);
        self.again_at = now + self.pause;
        Verdict::Again
    }

    fn applied(&self) -> Applied {
        if self.doubt { Applied::Unknown } else { Applied::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    fn exchange(repeat: Repeat) -> Exchange {
        let account: AccountName = "fhir".parse().expect("a name");
        Exchange::new(account, repeat, BootTime::from_us(1_000_000))
    }

    const ENDS: [Ended; 9] = [
        Ended::NotSent,
        Ended::Lost,
        Ended::Answered { status: 200, applied: None },
        Ended::Answered { status: 409, applied: None },
        Ended::Answered { status: 421, applied: Some(Applied::No) },
        Ended::Answered { status: 500, applied: Some(Applied::Unknown) },
        Ended::Answered { status: 503, applied: Some(Applied::No) },
        Ended::Answered { status: 503, applied: Some(Applied::Unknown) },
        Ended::Answered { status: 503, applied: None },
    ];

    #[test]
    fn the_table_of_verdicts() {
        let mut table = String::new();
        for repeat in [Repeat::Safe, Repeat::Keyed, Repeat::Never] {
            for ended in ENDS {
                let verdict = exchange(repeat).after(ended, BootTime::ZERO);
                let what = match ended {
                    Ended::Answered { status, applied } => format!("{status} {applied:?}"),
                    other => format!("{other:?}"),
                };
                writeln!(table, "{repeat:?}, {what}: {verdict:?}").expect("writes");
            }
        }
        insta::assert_snapshot!(table, @r"
        Safe, NotSent: Again
        Safe, Lost: Again
        Safe, 200 None: Pass
        Safe, 409 None: Pass
        Safe, 421 Some(No): Again
        Safe, 500 Some(Unknown): Pass
        Safe, 503 Some(No): Again
        Safe, 503 Some(Unknown): Again
        Safe, 503 None: Again
        Keyed, NotSent: Again
        Keyed, Lost: Again
        Keyed, 200 None: Pass
        Keyed, 409 None: Pass
        Keyed, 421 Some(No): Again
        Keyed, 500 Some(Unknown): Pass
        Keyed, 503 Some(No): Again
        Keyed, 503 Some(Unknown): Again
        Keyed, 503 None: Again
        Never, NotSent: GiveUp(No)
        Never, Lost: GiveUp(Unknown)
        Never, 200 None: Pass
        Never, 409 None: Pass
        Never, 421 Some(No): Pass
        Never, 500 Some(Unknown): Pass
        Never, 503 Some(No): Pass
        Never, 503 Some(Unknown): Pass
        Never, 503 None: Pass
        ");
    }

    #[test]
    fn a_doubt_stays_until_the_end() {
        let mut exchange = exchange(Repeat::Keyed);
        assert_eq!(exchange.after(Ended::Lost, BootTime::ZERO), Verdict::Again);
        let no = Ended::Answered { status: 503, applied: Some(Applied::No) };
        assert_eq!(exchange.after(no, BootTime::ZERO), Verdict::Again);
        let late = BootTime::from_us(2_000_000);
        assert_eq!(exchange.after(no, late), Verdict::GiveUp(Applied::Unknown));
        assert_eq!(exchange.next(&Routes::default(), late), Next::GiveUp(Applied::Unknown));
    }

    fn ends() -> impl Strategy<Value = Ended> {
        prop_oneof![
            Just(Ended::NotSent),
            Just(Ended::Lost),
            (
                200u16..600,
                prop_oneof![Just(None), Just(Some(Applied::No)), Just(Some(Applied::Unknown))],
            )
                .prop_map(|(status, applied)| Ended::Answered { status, applied }),
        ]
    }

    proptest! {
        /// A request that cannot be repeated is never sent again once a byte may have left; and
        /// "not applied" is said only where no attempt left a doubt.
        #[test]
        fn never_twice_and_never_a_false_no(
            attempts in prop::collection::vec(ends(), 1..20),
            keyed in any::<bool>(),
        ) {
            let repeat = if keyed { Repeat::Keyed } else { Repeat::Never };
            let mut exchange = exchange(repeat);
            let mut doubt = false;
            for (turn, ended) in attempts.iter().enumerate() {
                let now = BootTime::from_us(u64::try_from(turn).expect("small") * 100_000);
                let verdict = exchange.after(*ended, now);
                doubt |= match ended {
                    Ended::NotSent => false,
                    Ended::Lost => true,
                    Ended::Answered { status: 502..=504, applied } => *applied != Some(Applied::No),
                    Ended::Answered { .. } => false,
                };
                match verdict {
                    Verdict::Again => prop_assert!(keyed),
                    Verdict::GiveUp(applied) => {
                        prop_assert_eq!(applied == Applied::Unknown, doubt);
                        break;
                    }
                    Verdict::Pass => {
                        let answered = matches!(ended, Ended::Answered { .. });
                        prop_assert!(answered, "only a region's answer is passed on");
                        break;
                    }
                }
            }
        }
    }
}
