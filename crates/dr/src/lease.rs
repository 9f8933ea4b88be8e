//! The holding half of leases: one region's grants from all acceptors (PROTOCOL.md section 2).

use crate::{Acceptors, Bug, Bugs, Grant, Holder, Message, Nonce, Reign, Renew, Told, holder_span};
use base::{AccountName, BootId, BootTime, Counter, MemberId, Span, Stamp};
use std::collections::BTreeMap;

/// Renewals whose answer is still awaited, for each acceptor.
const AWAITED_MAX: usize = 16;

/// A region's grants in one process lifetime.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leaseholder {
    me: Holder,
    lease: Span,
    bugs: Bugs,
    grantors: BTreeMap<MemberId, Grantor>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Grantor {
    nonce: Option<Nonce>,
    /// The boot and counter that `told` reaches (L6).
    reached: Option<(BootId, Counter)>,
    told: BTreeMap<AccountName, (Reign, Holder)>,
    /// The number of the latest renewal; only this grantor's answers are matched by it.
    sent: u64,
    /// When each renewal was sent, `t_send` read before its first byte left (L3).
    awaited: BTreeMap<u64, BootTime>,
    answered: u64,
    until: BTreeMap<AccountName, BootTime>,
    ceiling: Stamp,
}

impl Leaseholder {
    /// A holder without grants, which asks for leases of `lease`.
    #[must_use]
    pub fn new(me: Holder, lease: Span, bugs: Bugs) -> Self {
        Self { me, lease, bugs, grantors: BTreeMap::new() }
    }

    /// The renewal to send to `to` now, for the accounts where a chosen value is known that names
    /// this region (L1).
    pub fn renew(
        &mut self,
        now: BootTime,
        to: MemberId,
        accounts: Vec<AccountName>,
        ceiling: Stamp,
    ) -> Message {
        let grantor = self.grantors.entry(to).or_default();
        grantor.sent += 1;
        grantor.awaited.insert(grantor.sent, now);
        while grantor.awaited.len() > AWAITED_MAX {
            grantor.awaited.pop_first();
        }
        Message::Renew(Renew {
            number: grantor.sent,
            // L7: the nonce of that acceptor's latest answer.
            nonce: grantor.nonce,
            lease: self.lease,
            since: grantor.reached,
            accounts,
            ceiling,
        })
    }

    /// An acceptor's answer. Returns whether it says of an account what was not known.
    pub fn receive(&mut self, now: BootTime, from: MemberId, grant: Grant) -> bool {
        let grantor = self.grantors.entry(from).or_default();
        let Some(sent) = grantor.awaited.remove(&grant.number) else {
            return false;
        };
        // Answers that overtook each other: the newest one counts, the older are late.
        if grant.number < grantor.answered {
            return false;
        }
        grantor.answered = grant.number;
        grantor.nonce = Some(grant.nonce);
        let counter = match grantor.reached {
            Some((boot, counter)) if boot == grant.nonce.boot => counter,
            _ => Counter::ZERO,
        };
        // L6: a difference that does not begin where this side is does not count.
        let fits = grant.since <= counter && grant.until >= counter;
        if !fits && !self.bugs.has(Bug::L6AnyDifference) {
            grantor.reached = None;
            return false;
        }
        let new = grantor.tell(grant.since, &grant.told);
        grantor.reached = Some((grant.nonce.boot, grant.until));
        if grant.granted {
            // L3: from the sending, by this clock, less drift and margin.
            let from = if self.bugs.has(Bug::LeaseFromReply) { now } else { sent };
            let span =
                if self.bugs.has(Bug::L3NoMargin) { grant.lease } else { holder_span(grant.lease) };
            for account in grant.accounts {
                let until = grantor.until.entry(account).or_default();
                *until = (*until).max(from + span);
            }
            grantor.ceiling = grant.ceiling;
        }
        new
    }

    /// Until when this region may act for an account in `reign`: covered by a majority of every
    /// set named (L2). `None` when it is not covered by enough grants, live or not.
    #[must_use]
    pub fn valid_until(
        &self,
        account: &AccountName,
        reign: Reign,
        acceptors: &Acceptors,
    ) -> Option<BootTime> {
        acceptors
            .sets()
            .map(|set| {
                let covers = |member: &MemberId| self.covered(*member, account, reign);
                let mut until: Vec<BootTime> = set.iter().filter_map(covers).collect();
                until.sort_unstable_by(|a, b| b.cmp(a));
                until.get(set.len() / 2).copied()
            })
            .min()
            .flatten()
    }

    /// The lower of the ceilings of the grants that count (L9).
    #[must_use]
    pub fn ceiling(&self, account: &AccountName, reign: Reign, acceptors: &Acceptors) -> Stamp {
        let Some(until) = self.valid_until(account, reign, acceptors) else {
            return Stamp::ZERO;
        };
        let counts = |member: &MemberId| self.covered(*member, account, reign) >= Some(until);
        let all = acceptors.all();
        let ceilings = all.iter().filter(|member| counts(member));
        ceilings
            .filter_map(|member| self.grantors.get(member))
            .map(|grantor| grantor.ceiling)
            .min()
            .unwrap_or_default()
    }

    /// What an acceptor told last of an account, if it covers anybody.
    #[must_use]
    pub fn told(&self, member: MemberId, account: &AccountName) -> Option<(Reign, Holder)> {
        self.grantors.get(&member)?.told.get(account).copied()
    }

    /// L2: a grant that tells another region, boot or epoch does not count.
    fn covered(&self, member: MemberId, account: &AccountName, reign: Reign) -> Option<BootTime> {
        let grantor = self.grantors.get(&member)?;
        let told = grantor.told.get(account);
        if told != Some(&(reign, self.me)) && !self.bugs.has(Bug::L2OwnWord) {
            return None;
        }
        grantor.until.get(account).copied()
    }
}

impl Grantor {
    fn tell(&mut self, since: Counter, told: &[Told]) -> bool {
        let before = self.told.clone();
        if since == Counter::ZERO {
            self.told.clear();
        }
        for told in told {
            match told.holds {
                Some(holds) => self.told.insert(told.account.clone(), holds),
                None => self.told.remove(&told.account),
            };
        }
        before != self.told
    }
}
