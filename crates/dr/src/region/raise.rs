//! A new process of the primary's region: compare tails, raise the epoch, open (E1, E2, P4).
//!
//! ```text
//! Checking ──log holds the epoch's start──► Asking ──tails agree, or 3 s──► Proposing ──► Opening
//!                                             └─the secondary's extends mine─► Fetching ─┘
//! ```

use super::{Cx, Part, Region, same};
use crate::{Action, Bug, Change, Message, Query, Reign, TailAnswer, TailAsk, Value};
use base::{BootTime, Epoch, MemberId, Position};

pub(super) struct Raising {
    was: Reign,
    until: BootTime,
    end: Position,
    stage: Stage,
}

enum Stage {
    Checking(Query),
    Asking {
        number: u64,
        next: BootTime,
    },
    /// The secondary's log is the shorter: does mine hold its end?
    Comparing {
        query: Query,
        theirs: Position,
    },
    Fetching {
        query: Query,
        to: Position,
    },
    Proposing,
}

impl Raising {
    pub(super) fn due(&self) -> BootTime {
        match self.stage {
            Stage::Asking { next, .. } => next.min(self.until),
            _ => self.until,
        }
    }
}

impl Region {
    /// The value names another process of this region.
    pub(super) fn raise(&mut self, cx: &mut Cx<'_>, value: &Value) {
        let same = matches!(&self.part, Part::Raising(raising) if raising.was == value.reign);
        let Some(end) = self.log.filter(|_| !same) else { return };
        let start = value.start().map_or(Position::ZERO, |start| start.at);
        let query = self.look_up(cx, start.seq);
        let until = cx.after(cx.config.tail_wait);
        let stage = Stage::Checking(query);
        self.part = Part::Raising(Raising { was: value.reign, until, end, stage });
        let epoch = value.reign.epoch;
        self.say(cx, format!("a new process of the primary's region ends epoch {epoch}"));
    }

    fn raising(&mut self) -> Option<&mut Raising> {
        match &mut self.part {
            Part::Raising(raising) => Some(raising),
            _ => None,
        }
    }

    pub(super) fn raising_looked_up(
        &mut self,
        cx: &mut Cx<'_>,
        query: Query,
        found: Option<Position>,
        end: Position,
    ) {
        let Some(value) = self.known.clone() else { return };
        let Some(raising) = self.raising() else { return };
        match raising.stage {
            Stage::Checking(asked) if asked == query => {
                raising.end = end;
                let start = value.start().map_or(Position::ZERO, |start| start.at);
                // E2: a log that lost its end does not open. The chain of hashes vouches for
                // every earlier start of this branch.
                if !found.is_some_and(|found| same(found, start)) {
                    self.stop(cx, "the log does not hold the start of its own epoch");
                } else if value.secondary.is_some() {
                    raising.until = cx.after(cx.config.tail_wait);
                    self.ask_tail(cx);
                } else {
                    self.propose_raise(cx, false);
                }
            }
            Stage::Comparing { query: asked, .. } if asked == query => {
                // Either it is a part of this log, or a tail that its own return will cut: the
                // tails were compared, and nothing that was acknowledged is missing here.
                let shorter = "has a tail of another branch";
                let Stage::Comparing { theirs, .. } = raising.stage else { return };
                if !found.is_some_and(|found| same(found, theirs)) {
                    self.say(cx, format!("the secondary {shorter}, which it will cut"));
                }
                self.propose_raise(cx, false);
            }
            _ => {}
        }
    }

    fn ask_tail(&mut self, cx: &mut Cx<'_>) {
        let number = self.query().0;
        let secondary = self.known.as_ref().and_then(|value| value.secondary);
        let account = self.account.clone();
        let next = cx.after(cx.patience());
        let Some(raising) = self.raising() else { return };
        raising.stage = Stage::Asking { number, next };
        let position = raising.end;
        if let Some(to) = secondary {
            cx.send(to, Message::TailAsk(TailAsk { number, account, position }));
        }
    }

    pub(super) fn raising_tail(&mut self, cx: &mut Cx<'_>, from: MemberId, answer: &TailAnswer) {
        let account = self.account.clone();
        let query = self.query();
        let Some(raising) = self.raising() else { return };
        let Stage::Asking { number, .. } = raising.stage else { return };
        if number != answer.number || !same(raising.end, answer.position) {
            return;
        }
        if answer.holds && answer.end.seq > raising.end.seq {
            // E1: take the secondary's longer tail if it extends the own one.
            raising.stage = Stage::Fetching { query, to: answer.end };
            cx.act(Action::FetchTail { account, query, from, to: answer.end });
        } else if !answer.holds && answer.end.seq < raising.end.seq {
            let query = self.look_up(cx, answer.end.seq);
            if let Some(raising) = self.raising() {
                raising.stage = Stage::Comparing { query, theirs: answer.end };
            }
        } else {
            self.propose_raise(cx, false);
        }
    }

    pub(super) fn tail_fetched(&mut self, cx: &mut Cx<'_>, query: Query, end: Position) {
        self.log = Some(end);
        let Some(raising) = self.raising() else { return };
        let Stage::Fetching { query: asked, to } = raising.stage else { return };
        if asked != query {
            return;
        }
        raising.end = end;
        if same(end, to) {
            self.propose_raise(cx, false);
        } else {
            self.ask_tail(cx);
        }
    }

    pub(super) fn turn_raising(&mut self, cx: &mut Cx<'_>) {
        let Some(raising) = self.raising() else { return };
        match raising.stage {
            Stage::Asking { .. } if cx.now.boot >= raising.until => {
                // E1: the tails could not be compared.
                self.say(cx, "the secondary does not answer: goes on alone".to_owned());
                self.propose_raise(cx, true);
            }
            Stage::Asking { next, .. } if cx.now.boot >= next => self.ask_tail(cx),
            Stage::Checking(_) | Stage::Comparing { .. } | Stage::Fetching { .. }
                if cx.now.boot >= raising.until =>
            {
                // The driver is slow, not the secondary: only its answer ends the stage.
                raising.until = cx.after(cx.config.tail_wait);
            }
            Stage::Proposing => raising.until = cx.after(cx.config.tail_wait),
            _ => {}
        }
    }

    fn propose_raise(&mut self, cx: &mut Cx<'_>, unsure: bool) {
        let by = self.me;
        let Some(raising) = self.raising() else { return };
        raising.stage = Stage::Proposing;
        let change = Change::Raise { was: raising.was, by, at: raising.end, unsure };
        self.change(cx, change);
    }

    /// The value names this process, by this region's own reading: the epoch is opened.
    pub(super) fn open(&mut self, cx: &mut Cx<'_>, value: &Value) {
        let epoch = value.reign.epoch;
        let at = value.start().map_or(Position::ZERO, |start| start.at);
        let aborted = matches!(self.part, Part::Released(_));
        self.register.give_up();
        self.part = Part::Opening;
        self.leased_at = cx.now.boot;
        let account = self.account.clone();
        // L9: only a change of region that is not a handoff may follow stamps it does not know.
        let before = value.starts.iter().rev().find(|start| start.epoch < epoch);
        let promoted = before.is_some_and(|before| before.primary != self.me.member);
        let above =
            if promoted && value.release.is_none() { self.ceiling } else { base::Stamp::ZERO };
        self.above = above;
        cx.out.push(super::Out::RenewNow);
        cx.act(Action::OpenEpoch { account, epoch, fork: value.fork, at, above });
        self.say(cx, format!("opens epoch {epoch} after seq {}", at.seq));
        if aborted {
            let why = "the next primary did not take over in time";
            self.reply(cx, Err(crate::Error::GivenUp { why }));
        }
    }

    pub(super) fn opened(&mut self, cx: &mut Cx<'_>, epoch: Epoch, position: Position) {
        let Some(value) = self.known.clone() else { return };
        if !matches!(self.part, Part::Opening) || value.reign.epoch != epoch {
            return;
        }
        self.log = Some(position);
        self.part = Part::Acting(super::acting::Acting::new(value.reign, position, cx.now.boot));
        self.say(cx, format!("is primary in epoch {epoch}"));
    }

    pub(super) fn not_opened(&mut self, cx: &mut Cx<'_>, epoch: Epoch, end: Position) {
        let Some(value) = self.known.clone() else { return };
        if !matches!(self.part, Part::Opening) || value.reign.epoch != epoch {
            return;
        }
        if cx.config.bugs.has(Bug::E2LooseEnd) {
            let (account, above) = (self.account.clone(), self.above);
            cx.act(Action::OpenEpoch { account, epoch, fork: value.fork, at: end, above });
            return;
        }
        // E2: opens only at exactly the recorded start; else it stops and says so.
        self.stop(cx, "the log does not end at the recorded start of the epoch");
    }

    pub(super) fn stop(&mut self, cx: &mut Cx<'_>, why: &'static str) {
        self.register.give_up();
        self.part = Part::Stopped(why);
        self.say(cx, format!("stops: {why}"));
    }
}
