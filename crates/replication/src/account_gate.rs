//! The gate of one account: what the protocol's machine permits, and how far the secondary is,
//! under one lock, so that the last check is one step.

use crate::gate::{Acknowledged, Durability, Gate, Refusal, Term};
use crate::lag::Lag;
use base::{BootId, BootTime, Clock, Epoch, MemberId, Seq, Span};
use dr::{Acks, Closed};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// When to ask again after a refusal that passes by itself.
const RETRY: Span = Span::from_ms(500);

/// An account's gate in this region. The driver feeds it: [`AccountGate::set`] with what the
/// machine says, [`AccountGate::durable`] from the committer before it answers anybody,
/// [`AccountGate::acked`] from shipping, and [`AccountGate::tick`] now and then.
///
/// Closed until the first [`AccountGate::set`].
pub struct AccountGate {
    member: MemberId,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    gate: dr::Gate,
    lag: Lag,
    /// The last epoch and boot that the gate was open in.
    last_term: Option<(Epoch, BootId)>,
    /// What the secondary said last in an epoch that the gate was not open in yet.
    early: Option<(Epoch, Seq)>,
    /// There is a secondary: without one, nothing waits for it.
    followed: bool,
    waiters: BTreeMap<(Seq, u64), Acknowledged>,
    replicated: BTreeMap<(Seq, u64), (BootTime, Acknowledged)>,
    next: u64,
}

/// Callbacks with what they are to be told; called when the lock is released.
type Calls = Vec<(Acknowledged, Result<Durability, Refusal>)>;

fn call(calls: Calls) {
    for (done, result) in calls {
        done(result);
    }
}

impl AccountGate {
    /// A closed gate.
    #[must_use]
    pub fn new(member: MemberId, clock: Arc<dyn Clock>) -> Self {
        let gate = dr::Gate::Closed { epoch: Epoch::ZERO, why: Closed::Changing };
        let state = State {
            gate,
            lag: Lag::default(),
            last_term: None,
            early: None,
            followed: true,
            waiters: BTreeMap::new(),
            replicated: BTreeMap::new(),
            next: 0,
        };
        Self { member, clock, state: Mutex::new(state) }
    }

    /// Carries out [`dr::Action::SetGate`]. What waits in another term, or behind a gate that
    /// closed, is told so.
    pub fn set(&self, gate: dr::Gate) {
        let mut state = self.state.lock();
        let now = self.clock.boot();
        let term = |gate: &dr::Gate| match gate {
            dr::Gate::Open(term) => Some((term.epoch, term.boot)),
            dr::Gate::Closed { .. } => None,
        };
        let (before, after) = (term(&state.gate), term(&gate));
        state.gate = gate;
        let mut calls = Calls::new();
        if after.is_none() || (before.is_some() && before != after) {
            calls = state.refuse_all();
        }
        if after.is_some() && after != state.last_term {
            // M1: what the secondary said in another epoch does not count; the opening commit, on
            // top of all before, is the first to wait.
            state.lag = Lag::default();
            state.last_term = after;
            if let (Some((early, seq)), Some((epoch, _))) = (state.early.take(), after)
                && early == epoch
            {
                state.lag.acked(seq);
            }
        }
        calls.extend(state.wake(now));
        drop(state);
        call(calls);
    }

    /// The log is durable here up to `seq`. Due before anybody is told that a commit is durable:
    /// from this moment it waits for the secondary.
    pub fn durable(&self, seq: Seq) {
        let now = self.clock.boot();
        self.state.lock().lag.note(seq, now);
    }

    /// The secondary said in `epoch`, by position and hash, that it holds all up to `seq` durably.
    /// It counts in that epoch only, whether the gate is open at this moment or not: when nothing
    /// more is written, nobody says it again.
    pub fn acked(&self, epoch: Epoch, seq: Seq) {
        let mut state = self.state.lock();
        match state.last_term {
            Some((last, _)) if last == epoch => state.lag.acked(seq),
            Some((last, _)) if last > epoch => return,
            _ => {
                state.early = Some((epoch, seq));
                return;
            }
        }
        let calls = state.wake(self.clock.boot());
        drop(state);
        call(calls);
    }

    /// The secondary is another, or its word does not count any more (M1).
    pub fn forget_secondary(&self) {
        let now = self.clock.boot();
        let mut state = self.state.lock();
        state.early = None;
        state.lag.forget(now);
    }

    /// Whether there is a secondary, as the register says. Waits for one that is not there end.
    pub fn follow(&self, followed: bool) {
        let mut state = self.state.lock();
        state.followed = followed;
        let calls = state.wake(self.clock.boot());
        drop(state);
        call(calls);
    }

    /// Lets time pass: ends waits that are over. Gives the moment of the next, if any.
    pub fn tick(&self) -> Option<BootTime> {
        let mut state = self.state.lock();
        let calls = state.wake(self.clock.boot());
        let next = state.replicated.values().map(|(until, _)| *until).min();
        drop(state);
        call(calls);
        next
    }

    /// For [`dr::Event::Lag`].
    #[must_use]
    pub fn waiting_since(&self) -> Option<BootTime> {
        self.state.lock().lag.waiting_since()
    }

    /// The age of the oldest commit not known durable in the secondary, for metrics.
    #[must_use]
    pub fn lag(&self) -> Span {
        self.state.lock().lag.age(self.clock.boot())
    }

    /// The highest commit known durable in the secondary in this term.
    #[must_use]
    pub fn acked_to(&self) -> Seq {
        self.state.lock().lag.acked_to()
    }
}

impl State {
    fn refusal(&self) -> Refusal {
        match self.gate {
            dr::Gate::Closed { epoch, why: Closed::NotPrimary } => Refusal::NotPrimary { epoch },
            dr::Gate::Closed { why: Closed::NoLease, .. } => Refusal::NoLease { retry: RETRY },
            dr::Gate::Closed { why: Closed::Changing | Closed::Stopped, .. } => {
                Refusal::Changing { retry: RETRY }
            }
            dr::Gate::Open(term) => Refusal::TermOver { epoch: term.epoch },
        }
    }

    /// M1, M2: whether what is durable here may be acknowledged now. Nothing is said of the lease.
    fn within_bound(&self, now: BootTime) -> bool {
        match self.gate {
            dr::Gate::Closed { .. } => false,
            dr::Gate::Open(term) => match term.acks {
                Acks::Nothing => false,
                Acks::Bounded { max_lag } => self.lag.age(now) <= max_lag,
                Acks::Local => true,
            },
        }
    }

    fn durability(&self, seq: Seq) -> Durability {
        if seq <= self.lag.acked_to() { Durability::Replicated } else { Durability::Local }
    }

    fn now_acknowledgeable(&mut self, seq: Seq, now: BootTime) -> Option<Durability> {
        // Asked about, so durable here: if nobody said so yet, it waits from now at the latest.
        self.lag.note(seq, now);
        self.within_bound(now).then(|| self.durability(seq))
    }

    fn refuse_all(&mut self) -> Calls {
        let refusal = self.refusal();
        let waiters = std::mem::take(&mut self.waiters).into_values();
        let replicated = std::mem::take(&mut self.replicated).into_values();
        waiters.chain(replicated.map(|(_, done)| done)).map(|done| (done, Err(refusal))).collect()
    }

    fn wake(&mut self, now: BootTime) -> Calls {
        let mut calls = Calls::new();
        if self.within_bound(now) {
            for ((seq, _), done) in std::mem::take(&mut self.waiters) {
                calls.push((done, Ok(self.durability(seq))));
            }
        }
        let over: Vec<(Seq, u64)> = self
            .replicated
            .iter()
            .filter(|((seq, _), (until, _))| {
                *seq <= self.lag.acked_to() || *until <= now || !self.followed
            })
            .map(|(key, _)| *key)
            .collect();
        for key in over {
            if let Some((_, done)) = self.replicated.remove(&key) {
                calls.push((done, Ok(self.durability(key.0))));
            }
        }
        calls
    }

    fn key(&mut self, seq: Seq) -> (Seq, u64) {
        self.next += 1;
        (seq, self.next)
    }
}

impl Gate for AccountGate {
    fn admit(&self) -> Result<Term, Refusal> {
        let state = self.state.lock();
        match state.gate {
            dr::Gate::Open(term) if self.clock.boot() >= term.valid_until => {
                Err(Refusal::NoLease { retry: RETRY })
            }
            dr::Gate::Open(term) if !term.admits => Err(Refusal::Changing { retry: RETRY }),
            dr::Gate::Open(term) => {
                Ok(Term { member: self.member, boot: term.boot, epoch: term.epoch })
            }
            dr::Gate::Closed { .. } => Err(state.refusal()),
        }
    }

    fn acknowledgeable(&self, seq: Seq, done: Acknowledged) {
        let mut state = self.state.lock();
        let result = if let dr::Gate::Closed { .. } = state.gate {
            Err(state.refusal())
        } else {
            match state.now_acknowledgeable(seq, self.clock.boot()) {
                Some(durability) => Ok(durability),
                None => {
                    let key = state.key(seq);
                    state.waiters.insert(key, done);
                    return;
                }
            }
        };
        drop(state);
        done(result);
    }

    fn acknowledgeable_now(&self, seq: Seq) -> Option<Durability> {
        let mut state = self.state.lock();
        state.now_acknowledgeable(seq, self.clock.boot())
    }

    fn primary_lag(&self) -> Option<Span> {
        let state = self.state.lock();
        let bounded = matches!(
            state.gate,
            dr::Gate::Open(term) if matches!(term.acks, Acks::Bounded { .. })
        );
        bounded.then(|| state.lag.age(self.clock.boot()))
    }

    fn replicated(&self, seq: Seq, wait: Span, done: Acknowledged) {
        let mut state = self.state.lock();
        let now = self.clock.boot();
        state.lag.note(seq, now);
        let result = if let dr::Gate::Closed { .. } = state.gate {
            Err(state.refusal())
        } else if state.durability(seq) == Durability::Replicated || !state.followed {
            Ok(state.durability(seq))
        } else {
            let key = state.key(seq);
            state.replicated.insert(key, (now + wait, done));
            return;
        };
        drop(state);
        done(result);
    }

    fn check_last(&self, term: &Term) -> Result<(), Refusal> {
        let state = self.state.lock();
        // L3: read within the lock, after all work.
        let now = self.clock.boot();
        match state.gate {
            dr::Gate::Open(open) if open.epoch != term.epoch || open.boot != term.boot => {
                Err(Refusal::TermOver { epoch: open.epoch })
            }
            dr::Gate::Open(open) if now >= open.valid_until => {
                Err(Refusal::NoLease { retry: RETRY })
            }
            dr::Gate::Open(_) if !state.within_bound(now) => Err(Refusal::Stalled { retry: RETRY }),
            dr::Gate::Open(_) => Ok(()),
            dr::Gate::Closed { epoch, why: Closed::NotPrimary } => Err(Refusal::TermOver { epoch }),
            dr::Gate::Closed { .. } => Err(state.refusal()),
        }
    }
}

#[cfg(test)]
mod tests;
