//! Clients: each writes and reads resources of its own through the gateways, one interaction at a
//! time, and retries a write under the same key until it knows what became of it.

use crate::ledger::{RequestId, Subject};
use crate::{Chance, Moment, Place};
use base::{Hash, MemberId, Rng as _, Span, VersionId};

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Write the subject, whatever is there.
    Put,
    /// Write the subject if its version is still this one.
    PutIfMatch(VersionId),
    /// Read the subject.
    Read,
}

/// One attempt of an interaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// The interaction; also its idempotency key.
    pub request: RequestId,
    /// Which attempt, from 1: an answer counts only for the attempt that waits.
    pub attempt: u32,
    /// The resource.
    pub subject: Subject,
    /// What for.
    pub want: Want,
    /// When the interaction began.
    pub began: Moment,
}

/// What a client is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// Done, as this version.
    Done(VersionId),
    /// A read's answer; `None`: there is no such resource.
    Shown(Option<VersionId>),
    /// A precondition did not hold: nothing was changed, for good.
    Precondition,
    /// Nothing was changed by this attempt; it may be tried again.
    NotApplied,
    /// The same, because the region is not the primary; it may say which epoch it knows, and whose.
    NotPrimary(Option<(u64, MemberId)>),
    /// Nobody knows whether this attempt changed anything.
    Unknown,
}

/// The answer to one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Of which interaction.
    pub request: RequestId,
    /// Of which attempt.
    pub attempt: u32,
    /// What came of it.
    pub told: Told,
}

/// How clients behave.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Between two interactions, at most.
    pub think: Span,
    /// How long one attempt is waited for.
    pub timeout: Span,
    /// Between two attempts.
    pub back_off: Span,
    /// Interactions in a million that only read.
    pub reads_ppm: u32,
    /// Writes in a million that state the version they replace.
    pub if_match_ppm: u32,
    /// After so many attempts a client gives a write up, and never touches that resource again.
    pub attempts_max: u32,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            think: Span::from_ms(1600),
            timeout: Span::from_secs(12),
            back_off: Span::from_ms(300),
            reads_ppm: 300_000,
            if_match_ppm: 250_000,
            attempts_max: 30,
        }
    }
}

/// What a client does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Sends an attempt to a gateway, and wants to be woken at a time if nothing came. Closes the
    /// connection of the attempt before, if one is open: where to, and which.
    Send(Place, Ask, Moment, Option<(Place, Ask)>),
    /// Wants to be woken.
    Sleep(Moment),
}

/// One client.
pub struct Client {
    habits: Habits,
    chance: Chance,
    resources: Vec<(Subject, Option<VersionId>)>,
    waiting: Option<Ask>,
    gateway: Place,
    due: Moment,
    stopped: bool,
}

impl Client {
    /// A client with resources of its own.
    #[must_use]
    pub fn new(habits: Habits, mut chance: Chance, subjects: &[Subject]) -> Self {
        let gateway = chance.pick(&Place::GATEWAYS);
        let resources = subjects.iter().map(|subject| (*subject, None)).collect();
        let due = Moment::START;
        Self { habits, chance, resources, waiting: None, gateway, due, stopped: false }
    }

    /// Begins at a time: wants to be woken then.
    pub const fn begin_at(&mut self, at: Moment) {
        self.due = at;
    }

    /// Begins no interaction any more.
    pub const fn stop(&mut self) {
        self.stopped = true;
    }

    /// True while an interaction has no end.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Woken: the thinking is over, or the attempt that was waited for took too long. Wakings
    /// that were planned before something else came are ignored.
    /// `request` and `subject` are fresh, should the client need one.
    pub fn wake(&mut self, now: Moment, request: RequestId, subject: Subject) -> Option<Deed> {
        if now != self.due {
            return None;
        }
        if let Some(ask) = self.waiting {
            return Some(self.again(now, ask, subject));
        }
        if self.stopped {
            return None;
        }
        let index = self.chance.below(self.resources.len() as u64);
        let (subject, version) = self.resources[usize::try_from(index).unwrap_or(0)];
        let want = if version.is_some() && self.chance.happens(self.habits.reads_ppm) {
            Want::Read
        } else {
            match version.filter(|_| self.chance.happens(self.habits.if_match_ppm)) {
                Some(version) => Want::PutIfMatch(version),
                None => Want::Put,
            }
        };
        Some(self.send(now, Ask { request, attempt: 1, subject, want, began: now }))
    }

    /// The subject and request of an interaction that is a client's explicit wish (stories).
    pub fn begin(&mut self, now: Moment, request: RequestId, subject: Subject, want: Want) -> Deed {
        self.send(now, Ask { request, attempt: 1, subject, want, began: now })
    }

    /// An answer came.
    pub fn hear(&mut self, now: Moment, reply: &Reply, fresh: Subject) -> Option<Deed> {
        let ask = self.waiting?;
        if ask.request != reply.request || ask.attempt != reply.attempt {
            return None;
        }
        match reply.told {
            Told::Done(version) | Told::Shown(Some(version)) => self.know(ask, Some(version)),
            Told::Shown(None) => self.know(ask, None),
            // Another attempt of the same interaction may have been the one that changed it: read.
            Told::Precondition => self.know(ask, None),
            Told::NotApplied | Told::NotPrimary(_) | Told::Unknown => {
                self.waiting = Some(Ask { attempt: ask.attempt + 1, ..ask });
                if ask.attempt + 1 > self.habits.attempts_max {
                    return Some(self.again(now, ask, fresh));
                }
                let wait = self.habits.back_off.us() / 2;
                let wait = wait + self.chance.between(0, wait);
                return Some(self.sleep(now, wait));
            }
        }
        self.waiting = None;
        Some(self.think(now))
    }

    fn know(&mut self, ask: Ask, version: Option<VersionId>) {
        for (subject, known) in &mut self.resources {
            if *subject == ask.subject {
                *known = version;
            }
        }
    }

    fn think(&mut self, now: Moment) -> Deed {
        let think = self.chance.between(1000, self.habits.think.us());
        self.sleep(now, think)
    }

    fn sleep(&mut self, now: Moment, us: u64) -> Deed {
        self.due = now + Span::from_us(us);
        Deed::Sleep(self.due)
    }

    fn again(&mut self, now: Moment, ask: Ask, fresh: Subject) -> Deed {
        let before = (self.gateway, ask);
        let gives_up = ask.want == Want::Read || ask.attempt >= self.habits.attempts_max;
        if gives_up {
            self.waiting = None;
            if ask.want != Want::Read {
                // What became of the write is unknown: the resource is not touched again.
                self.resources.retain(|(subject, _)| *subject != ask.subject);
                self.resources.push((fresh, None));
            }
            return self.think(now);
        }
        self.gateway = match self.gateway {
            Place::GatewayA => Place::GatewayB,
            _ => Place::GatewayA,
        };
        self.send_after(now, Ask { attempt: ask.attempt + 1, ..ask }, Some(before))
    }

    fn send(&mut self, now: Moment, ask: Ask) -> Deed {
        self.send_after(now, ask, None)
    }

    fn send_after(&mut self, now: Moment, ask: Ask, before: Option<(Place, Ask)>) -> Deed {
        self.waiting = Some(ask);
        self.due = now + self.habits.timeout;
        Deed::Send(self.gateway, ask, self.due, before)
    }
}

/// What identifies a write's content; also in the body, so that it is found again in logs.
#[must_use]
pub fn content_of(request: RequestId, subject: Subject) -> Hash {
    Hash::of(format!("{request} {subject}").as_bytes())
}
