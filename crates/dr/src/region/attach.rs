//! The secondary finds where its log and the primary's part, cuts what the primary does not hold
//! (exported first), and follows (Q1, Q2, Q3).
//!
//! ```text
//! Stopping ─own end─► Looking ─own position─► Asking ─primary holds it─► keep = own end? ─► Following
//!                        ▲                      │ does not: halve          │ no
//!                        └──────────────────────┘                          └─► Returning ─► Following
//! ```

use super::{Cx, Part, Region, same};
use crate::{
    Action, Bug, Holder, Message, Query, Reign, Rejoin, ReturnPlan, TailAnswer, TailAsk, Value,
};
use base::{BootTime, Epoch, MemberId, Position, Seq};

pub(super) struct Attaching {
    pub(super) reign: Reign,
    primary: Holder,
    end: Position,
    /// The longest prefix known common, and the shortest position known not to be.
    common: Position,
    parted: Option<Seq>,
    stage: Stage,
}

enum Stage {
    Stopping(Query),
    Looking(Query),
    Asking {
        number: u64,
        position: Position,
        next: BootTime,
    },
    /// `rejoin = manual`: what is to be cut waits for the operator.
    Awaiting(ReturnPlan),
    Returning(ReturnPlan),
}

impl Attaching {
    pub(super) fn due(&self) -> Option<BootTime> {
        match self.stage {
            Stage::Asking { next, .. } => Some(next),
            _ => None,
        }
    }

    /// Whether the log is being cut, or about to be.
    pub(super) fn cuts(&self) -> bool {
        matches!(self.stage, Stage::Awaiting(_) | Stage::Returning(_))
    }
}

/// Q1: the smallest start among all epochs later than that of the own last commit.
fn first_cut(value: &Value, end: Position, newest_only: bool) -> Seq {
    let later = value.starts.iter().filter(|start| start.epoch > end.epoch);
    let starts = later.map(|start| start.at.seq);
    let cut = if newest_only { starts.into_iter().next() } else { starts.min() };
    cut.map_or(end.seq, |cut| cut.min(end.seq))
}

impl Region {
    /// The value names this region as secondary.
    pub(super) fn follow(&mut self, cx: &mut Cx<'_>, value: &Value) {
        self.note_failure(cx, value);
        let stays = match &self.part {
            Part::Following => self.role_epoch() == value.reign.epoch,
            Part::Attaching(attaching) => attaching.reign == value.reign,
            Part::Sealed(sealed) => sealed.holds(value),
            Part::Taking(_) => self.taking_goes_on(value),
            _ => false,
        };
        if stays {
            self.sealed_news(cx, value);
            return;
        }
        if matches!(self.part, Part::Released(_)) {
            let epoch = value.reign.epoch;
            let name = cx.name(value.primary.member);
            self.reply(cx, Ok(format!("{name} is primary in epoch {epoch}, nothing was lost")));
        }
        self.attach(cx, value);
    }

    pub(super) fn attach_again(&mut self, cx: &mut Cx<'_>) {
        if let Some(value) = self.known.clone() {
            self.attach(cx, &value);
        }
    }

    fn attach(&mut self, cx: &mut Cx<'_>, value: &Value) {
        self.register.give_up();
        let Some(end) = self.log else {
            // The role tells the driver to open (or make) the log; its end comes back.
            self.part = Part::Waiting;
            return;
        };
        // P3: a seal is left only through the register, also by a new process.
        let sealed = self.seal == Some((value.reign, value.attempt));
        if sealed && !cx.config.bugs.has(Bug::P3FreeUnseal) {
            self.stay_sealed(cx, value);
            return;
        }
        let query = self.query();
        let (account, epoch) = (self.account.clone(), value.reign.epoch);
        cx.act(Action::StopAppends { account, query, epoch });
        self.part = Part::Attaching(Attaching {
            reign: value.reign,
            primary: value.primary,
            end,
            common: Position::ZERO,
            parted: None,
            stage: Stage::Stopping(query),
        });
        self.say(
            cx,
            format!("compares its log with {}'s for epoch {epoch}", cx.name(value.primary.member)),
        );
    }

    fn attaching(&mut self) -> Option<&mut Attaching> {
        match &mut self.part {
            Part::Attaching(attaching) => Some(attaching),
            _ => None,
        }
    }

    pub(super) fn attaching_stopped(&mut self, cx: &mut Cx<'_>, query: Query, end: Position) {
        let Some(value) = self.known.clone() else { return };
        let Some(attaching) = self.attaching() else { return };
        if !matches!(attaching.stage, Stage::Stopping(asked) if asked == query) {
            return;
        }
        attaching.end = end;
        let wrong = cx.config.bugs.has(Bug::Q1WrongDivergence);
        let cut = first_cut(&value, end, wrong);
        let tuples = cx.config.bugs.has(Bug::TuplePositions);
        if cut == end.seq || tuples {
            if wrong {
                self.keep(cx, end);
            } else {
                self.ask_position(cx, end);
            }
        } else {
            self.look(cx, cut);
        }
    }

    fn look(&mut self, cx: &mut Cx<'_>, seq: Seq) {
        let query = self.look_up(cx, seq);
        if let Some(attaching) = self.attaching() {
            attaching.stage = Stage::Looking(query);
        }
    }

    pub(super) fn attaching_looked_up(
        &mut self,
        cx: &mut Cx<'_>,
        query: Query,
        found: Option<Position>,
    ) {
        let Some(attaching) = self.attaching() else { return };
        if !matches!(attaching.stage, Stage::Looking(asked) if asked == query) {
            return;
        }
        match found {
            Some(position) => self.ask_position(cx, position),
            None => self.stop(cx, "the log does not hold a commit below its own end"),
        }
    }

    /// Q1: the hash is checked against the primary.
    fn ask_position(&mut self, cx: &mut Cx<'_>, position: Position) {
        if position.seq == Seq::ZERO {
            self.keep(cx, Position::ZERO);
            return;
        }
        let number = self.query().0;
        let account = self.account.clone();
        let next = cx.after(cx.patience());
        let Some(attaching) = self.attaching() else { return };
        attaching.stage = Stage::Asking { number, position, next };
        let to = attaching.primary.member;
        cx.send(to, Message::TailAsk(TailAsk { number, account, position }));
    }

    pub(super) fn attaching_tail(&mut self, cx: &mut Cx<'_>, from: MemberId, answer: &TailAnswer) {
        let Some(attaching) = self.attaching() else { return };
        let Stage::Asking { number, position, .. } = attaching.stage else { return };
        if number != answer.number || from != attaching.primary.member {
            return;
        }
        if answer.holds {
            attaching.common = position;
        } else {
            attaching.parted = Some(position.seq);
        }
        // Q1: goes back further if it differs. A prefix is common or it is not, so by halves.
        let (low, high) = (attaching.common, attaching.parted);
        match high {
            Some(high) if low.seq.next() < high => {
                let middle = low.seq.get().midpoint(high.get());
                self.look(cx, Seq::new(middle));
            }
            _ => self.keep(cx, low),
        }
    }

    /// All up to `keep` is common; the rest is exported and cut.
    fn keep(&mut self, cx: &mut Cx<'_>, keep: Position) {
        let Some(value) = self.known.clone() else { return };
        let account = self.account.clone();
        let Some(attaching) = self.attaching() else { return };
        if same(keep, attaching.end) {
            self.part = Part::Following;
            let name = cx.name(value.primary.member);
            self.say(cx, format!("follows {name} in epoch {}", value.reign.epoch));
            return;
        }
        let plan = ReturnPlan {
            account,
            parent: value.version,
            epoch: value.reign.epoch,
            fork: value.fork,
            primary: value.primary,
            name: cx.name(value.primary.member),
            keep,
            end: attaching.end,
        };
        match value.policies.rejoin {
            Rejoin::Auto => self.execute_return(cx, plan),
            Rejoin::Manual => {
                attaching.stage = Stage::Awaiting(plan.clone());
                self.say(cx, format!("waits for the command to rejoin: {plan}"));
            }
        }
    }

    fn execute_return(&mut self, cx: &mut Cx<'_>, plan: ReturnPlan) {
        self.say(cx, plan.to_string());
        cx.act(Action::Return(plan.clone()));
        if let Some(attaching) = self.attaching() {
            attaching.stage = Stage::Returning(plan);
        }
    }

    /// The operator's word for `rejoin = manual`; false when nothing waits for it.
    pub(super) fn rejoin(&mut self, cx: &mut Cx<'_>) -> bool {
        let waiting = self.attaching().and_then(|attaching| match &attaching.stage {
            Stage::Awaiting(plan) => Some(plan.clone()),
            _ => None,
        });
        let waits = waiting.is_some();
        if let Some(plan) = waiting {
            self.execute_return(cx, plan);
        }
        waits
    }

    pub(super) fn returned(&mut self, cx: &mut Cx<'_>, epoch: Epoch, end: Position) {
        self.log = Some(end);
        let Some(attaching) = self.attaching() else { return };
        let reign = attaching.reign;
        let Stage::Returning(plan) = &attaching.stage else { return };
        if plan.epoch != epoch {
            return;
        }
        if same(plan.keep, end) {
            let cut = plan.cut();
            self.part = Part::Following;
            self.say(
                cx,
                format!("cut {cut} commits, exported, and follows in epoch {}", reign.epoch),
            );
        } else {
            self.stop(cx, "the log does not end where it was cut");
        }
    }

    pub(super) fn turn_attaching(&mut self, cx: &mut Cx<'_>) {
        let Some(attaching) = self.attaching() else { return };
        if let Stage::Asking { position, next, .. } = attaching.stage
            && cx.now.boot >= next
        {
            self.ask_position(cx, position);
        }
    }
}
