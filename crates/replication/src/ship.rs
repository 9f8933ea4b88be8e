//! The primary's side of shipping.
//!
//! ```text
//!            connected            standing, in the own log
//!   Down ───────────────▶ Greeting ────────────────────────▶ Shipping ⟲ batches, acknowledgements
//!    ▲  disconnected          ▲ ▲                               │
//!    └────── (any) ◀──────────┘ └── misfit, silence, new boot ──┤
//!                               └── Waiting ◀── refused, not in the own log
//! ```
//! It reads the log's durable part only, so nothing is shipped before it is durable here (E3), and
//! believes an acknowledgement only of this epoch, boot and session, by position and hash.

use crate::Error;
use crate::parcel::{Body, Head, Parcel, Refused};
use base::{AccountName, BootId, BootTime, MemberId, Position, Seq, Span};
use bytes::Bytes;
use dr::{Holder, Reign};
use std::collections::VecDeque;
use store::log::{Frames, Reader, SecondaryMark};

/// Limits on shipping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShipLimits {
    /// Bytes of frames in one batch, unless one frame alone has more. Default 1 MiB.
    pub batch_bytes: usize,
    /// Frames in one batch. Default 512.
    pub batch_frames: usize,
    /// Bytes sent and not acknowledged, after which nothing more is sent. Default 16 MiB.
    pub window_bytes: usize,
    /// How long an answer may take before the session begins anew. Default 2 s.
    pub silence: Span,
    /// How long to wait after a refusal. Default 200 ms.
    pub pause: Span,
}

impl Default for ShipLimits {
    fn default() -> Self {
        Self {
            batch_bytes: 1 << 20,
            batch_frames: 512,
            window_bytes: 16 << 20,
            silence: Span::from_secs(2),
            pause: Span::from_ms(200),
        }
    }
}

/// Whose log is shipped, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The account.
    pub account: AccountName,
    /// This region, in this process lifetime.
    pub me: Holder,
    /// The epoch in which this region is primary.
    pub reign: Reign,
    /// Who follows.
    pub secondary: MemberId,
}

/// What the primary learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShipEvent {
    /// The secondary holds this durably: [`dr::Event::SecondaryAcked`], and the gate.
    Acked {
        /// A position of the own log.
        position: Position,
    },
    /// It holds all that is durable here; said once each time it becomes so.
    CaughtUp,
    /// Its log ends where the own one has never been: it must return first.
    Diverged {
        /// Where it ends.
        end: Position,
    },
    /// It holds less than it acknowledged in this epoch: what it said before does not count.
    WentBack {
        /// What it had acknowledged.
        acked: Position,
        /// Where it ends now.
        end: Position,
    },
    /// It knows a higher epoch than this one.
    HigherEpoch {
        /// Which.
        known: Reign,
    },
}

/// Ships an account's log in one epoch to one secondary.
pub struct Shipper {
    route: Route,
    limits: ShipLimits,
    session: u64,
    state: State,
    /// The highest position acknowledged in this epoch.
    acked: Position,
    caught_up: bool,
    frames: Option<Frames>,
}

#[derive(Debug)]
enum State {
    Down,
    /// A hello is to be sent.
    Begin,
    /// Waits for the answer to the hello.
    Greeting {
        since: BootTime,
    },
    Shipping(Shipping),
    /// Begins again at this time.
    Waiting {
        until: BootTime,
    },
}

#[derive(Debug)]
struct Shipping {
    /// The secondary's process lifetime.
    boot: BootId,
    sent: Position,
    /// The last seq and the bytes of each batch in flight.
    flight: VecDeque<(Seq, usize)>,
    flight_bytes: usize,
    heard: BootTime,
}

impl Shipper {
    /// For an epoch that has begun.
    #[must_use]
    pub fn new(route: Route, limits: ShipLimits) -> Self {
        let (state, acked) = (State::Down, Position::ZERO);
        Self { route, limits, session: 0, state, acked, caught_up: false, frames: None }
    }

    /// Whose log goes where.
    #[must_use]
    pub const fn route(&self) -> &Route {
        &self.route
    }

    /// The highest position that the secondary acknowledged in this epoch.
    #[must_use]
    pub const fn acked(&self) -> Position {
        self.acked
    }

    /// What each new frame records of the secondary (E4).
    #[must_use]
    pub fn mark(&self) -> Option<SecondaryMark> {
        let seq = self.acked.seq;
        (seq > Seq::ZERO).then_some(SecondaryMark { member: self.route.secondary, seq })
    }

    /// There is a connection to the secondary.
    pub fn connected(&mut self) {
        self.state = State::Begin;
    }

    /// There is none any more.
    pub fn disconnected(&mut self) {
        self.state = State::Down;
    }

    /// When to call [`Shipper::poll`] at the latest, though nothing is received and nothing
    /// becomes durable.
    #[must_use]
    pub fn timer(&self) -> Option<BootTime> {
        match &self.state {
            State::Down => None,
            State::Begin => Some(BootTime::ZERO),
            State::Greeting { since } => Some(*since + self.limits.silence),
            State::Shipping(shipping) if shipping.flight.is_empty() => None,
            State::Shipping(shipping) => Some(shipping.heard + self.limits.silence),
            State::Waiting { until } => Some(*until),
        }
    }

    /// The next parcel to send; `None` when there is nothing to send now. Call until then.
    ///
    /// # Errors
    /// [`Error::Log`].
    pub fn poll(&mut self, now: BootTime, log: &Reader) -> Result<Option<Parcel>, Error> {
        let begin = match &self.state {
            State::Down => false,
            State::Begin => true,
            State::Greeting { .. } | State::Shipping(_) | State::Waiting { .. } => {
                self.timer().is_some_and(|at| at <= now)
            }
        };
        if begin {
            self.session += 1;
            self.state = State::Greeting { since: now };
            return Ok(Some(self.say(Body::Hello { session: self.session }, Bytes::new())));
        }
        let State::Shipping(shipping) = &mut self.state else { return Ok(None) };
        if shipping.flight_bytes >= self.limits.window_bytes {
            return Ok(None);
        }
        let before = shipping.sent;
        let next = before.seq.next();
        let frames = match &mut self.frames {
            Some(frames) if frames.next_seq() == next => frames,
            other => other.insert(log.frames(next)),
        };
        let (mut data, mut count) = (Vec::new(), 0);
        while count < self.limits.batch_frames && data.len() < self.limits.batch_bytes {
            let Some(frame) = frames.next() else { break };
            let frame = frame?;
            if frame.before != shipping.sent.hash {
                // The log was cut: this epoch is over, and somebody will say so.
                return Ok(None);
            }
            shipping.sent = frame.position;
            frame.encode(&mut data);
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        if shipping.flight.is_empty() {
            shipping.heard = now;
        }
        shipping.flight.push_back((shipping.sent.seq, data.len()));
        shipping.flight_bytes += data.len();
        let batch = Body::Batch { session: self.session, before };
        Ok(Some(self.say(batch, data.into())))
    }

    /// The log's durable end moved on.
    pub fn durable(&mut self, end: Seq) {
        self.caught_up &= end <= self.acked.seq;
    }

    /// Takes in what the secondary says. What is not of this epoch, boot and session is dropped.
    ///
    /// # Errors
    /// [`Error::Log`].
    pub fn receive(
        &mut self,
        now: BootTime,
        parcel: &Parcel,
        log: &Reader,
    ) -> Result<Vec<ShipEvent>, Error> {
        let head = &parcel.head;
        let ours = head.account == self.route.account
            && head.from.member == self.route.secondary
            && head.to_boot == Some(self.route.me.boot);
        if !ours {
            return Ok(Vec::new());
        }
        match head.body {
            Body::Standing { session, end }
                if session == self.session && head.reign == self.route.reign =>
            {
                self.standing(now, head.from.boot, end, log)
            }
            Body::Refused { session, why } if session == self.session => Ok(self.refused(now, why)),
            _ => Ok(Vec::new()),
        }
    }

    fn standing(
        &mut self,
        now: BootTime,
        boot: BootId,
        end: Position,
        log: &Reader,
    ) -> Result<Vec<ShipEvent>, Error> {
        if matches!(self.state, State::Down | State::Begin | State::Waiting { .. }) {
            return Ok(Vec::new());
        }
        // E3: by position and hash, in the own log.
        if !log.contains(&end)? {
            self.state = State::Waiting { until: now + self.limits.pause };
            return Ok(vec![ShipEvent::Diverged { end }]);
        }
        let mut events = Vec::new();
        match &mut self.state {
            State::Shipping(shipping) if shipping.boot == boot => {
                shipping.heard = now;
                while let Some((last, bytes)) = shipping.flight.front().copied()
                    && last <= end.seq
                {
                    shipping.flight.pop_front();
                    shipping.flight_bytes -= bytes;
                }
                if end.seq <= self.acked.seq {
                    return Ok(events);
                }
            }
            State::Shipping(_) => {
                // It started anew within the session: ask where it stands.
                self.state = State::Begin;
                return Ok(events);
            }
            _ => {
                if end.seq < self.acked.seq {
                    events.push(ShipEvent::WentBack { acked: self.acked, end });
                }
                self.caught_up = false;
                self.state = State::Shipping(Shipping {
                    boot,
                    sent: end,
                    flight: VecDeque::new(),
                    flight_bytes: 0,
                    heard: now,
                });
            }
        }
        self.acked = end;
        events.push(ShipEvent::Acked { position: end });
        let all = log.durable() == end;
        if all && !self.caught_up {
            events.push(ShipEvent::CaughtUp);
        }
        self.caught_up = all;
        Ok(events)
    }

    fn refused(&mut self, now: BootTime, why: Refused) -> Vec<ShipEvent> {
        if matches!(self.state, State::Down) {
            return Vec::new();
        }
        self.state = match why {
            Refused::Misfit => State::Begin,
            Refused::OldEpoch { .. } | Refused::NotFollowing | Refused::Broken => {
                State::Waiting { until: now + self.limits.pause }
            }
        };
        match why {
            Refused::OldEpoch { known } if known > self.route.reign => {
                vec![ShipEvent::HigherEpoch { known }]
            }
            _ => Vec::new(),
        }
    }

    fn say(&self, body: Body, frames: Bytes) -> Parcel {
        let (account, from) = (self.route.account.clone(), self.route.me);
        let head = Head { account, from, reign: self.route.reign, to_boot: None, body };
        Parcel { head, frames }
    }
}
