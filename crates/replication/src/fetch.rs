//! Taking a longer tail from the other region's log (PROTOCOL.md E1), outside of any session.

use crate::Error;
use crate::parcel::{Body, Head, Parcel};
use base::{AccountName, BootTime, MemberId, Position, Span};
use dr::{Holder, Query, Reign};
use store::log::{Frame, Reader};

/// How long the other region may be silent.
const SILENCE: Span = Span::from_secs(3);
/// Bytes of frames in one answer, unless one frame alone has more.
const ANSWER_BYTES: usize = 1 << 20;

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchAction {
    /// Send it.
    Send(Parcel),
    /// Append these and sync; then [`Fetch::appended`].
    Append(Vec<Frame>),
    /// Tell [`dr::Event::TailFetched`]; the fetch is over.
    Done {
        /// From [`dr::Action::FetchTail`].
        query: Query,
        /// The log's durable end.
        end: Position,
    },
}

/// What a fetch is for: [`dr::Action::FetchTail`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPlan {
    /// The account.
    pub account: AccountName,
    /// To match the event.
    pub query: Query,
    /// This region.
    pub me: Holder,
    /// The highest epoch known here.
    pub reign: Reign,
    /// Whose log.
    pub from: MemberId,
    /// Its end.
    pub to: Position,
}

/// One fetch.
pub struct Fetch {
    plan: FetchPlan,
    end: Position,
    number: u64,
    heard: BootTime,
    appending: Option<Position>,
    over: bool,
}

impl Fetch {
    /// `end` is the own log's durable end.
    #[must_use]
    pub fn begin(plan: FetchPlan, end: Position, now: BootTime) -> (Self, Vec<FetchAction>) {
        let mut fetch = Self { plan, end, number: 0, heard: now, appending: None, over: false };
        let actions = vec![fetch.go_on()];
        (fetch, actions)
    }

    /// When to call [`Fetch::tick`].
    #[must_use]
    pub fn timer(&self) -> Option<BootTime> {
        (!self.over && self.appending.is_none()).then(|| self.heard + SILENCE)
    }

    /// Ends it when the other region is silent.
    pub fn tick(&mut self, now: BootTime) -> Vec<FetchAction> {
        if self.timer().is_some_and(|at| at <= now) { vec![self.done()] } else { Vec::new() }
    }

    /// Takes in an answer.
    pub fn receive(&mut self, now: BootTime, parcel: &Parcel) -> Vec<FetchAction> {
        let head = &parcel.head;
        let answers = head.account == self.plan.account
            && head.from.member == self.plan.from
            && head.to_boot == Some(self.plan.me.boot);
        let fits = matches!(head.body, Body::Fetched { number, after }
            if number == self.number && after == self.end);
        if !answers || !fits || self.over || self.appending.is_some() {
            return Vec::new();
        }
        self.heard = now;
        match parcel.frames_after(&self.end) {
            Ok(frames) if !frames.is_empty() => {
                self.appending = frames.last().map(|last| last.position);
                vec![FetchAction::Append(frames)]
            }
            _ => vec![self.done()],
        }
    }

    /// What was handed out is durable: the log ends there.
    ///
    /// # Panics
    /// When that is not the end of what was handed out.
    pub fn appended(&mut self, now: BootTime, end: Position) -> Vec<FetchAction> {
        assert_eq!(self.appending.take(), Some(end), "the log ends where the answer does");
        self.end = end;
        self.heard = now;
        vec![self.go_on()]
    }

    fn go_on(&mut self) -> FetchAction {
        if self.end.seq >= self.plan.to.seq {
            return self.done();
        }
        self.number += 1;
        let body = Body::Fetch { number: self.number, after: self.end, to: self.plan.to };
        FetchAction::Send(Parcel::bare(Head {
            account: self.plan.account.clone(),
            from: self.plan.me,
            reign: self.plan.reign,
            to_boot: None,
            body,
        }))
    }

    fn done(&mut self) -> FetchAction {
        self.over = true;
        FetchAction::Done { query: self.plan.query, end: self.end }
    }
}

/// Answers a fetch from the own durable log; `None` for anything else.
///
/// # Errors
/// [`Error::Log`].
pub fn serve_fetch(me: Holder, asked: &Parcel, log: &Reader) -> Result<Option<Parcel>, Error> {
    let Body::Fetch { number, after, to } = asked.head.body else { return Ok(None) };
    let mut data = Vec::new();
    if log.contains(&after)? && log.contains(&to)? {
        for frame in log.frames(after.seq.next()) {
            let frame = frame?;
            if frame.position.seq > to.seq || data.len() >= ANSWER_BYTES {
                break;
            }
            frame.encode(&mut data);
        }
    }
    let head = Head {
        account: asked.head.account.clone(),
        from: me,
        reign: asked.head.reign,
        to_boot: Some(asked.head.from.boot),
        body: Body::Fetched { number, after },
    };
    Ok(Some(Parcel { head, frames: data.into() }))
}
