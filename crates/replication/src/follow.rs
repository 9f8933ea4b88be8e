//! The secondary's side of shipping: it appends only what follows its exact end, in the epoch it
//! was told to follow, and says where it stands when that is durable.

use crate::parcel::{Body, Head, Parcel, Refused};
use base::{AccountName, BootId, Epoch, Generation, MemberId, Position};
use dr::{Bug, Bugs, Holder, Query, Reign, Role};
use std::collections::VecDeque;
use store::log::Frame;

/// What the driver is to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowAction {
    /// Append these, sync, apply; then [`Follower::appended`]. In the order given.
    Append(Vec<Frame>),
    /// Send it, if there is a connection.
    Send {
        /// To whom.
        to: MemberId,
        /// What.
        parcel: Parcel,
    },
    /// Tell [`dr::Event::OtherEpochShipped`].
    OtherEpoch {
        /// The epoch shipped.
        epoch: Epoch,
    },
    /// Tell [`dr::Event::AppendsStopped`].
    Stopped {
        /// From [`dr::Action::StopAppends`].
        query: Query,
        /// The exact end, durable.
        end: Position,
    },
}

/// One account's follower in this region. It lives as long as the process: the role changes.
pub struct Follower {
    account: AccountName,
    me: Holder,
    generation: Generation,
    bugs: Bugs,
    following: Option<Following>,
    /// The highest epoch a role named.
    known: Epoch,
    /// All epochs up to this are refused (P2).
    stopped: Option<Epoch>,
    /// The log's end, what is being appended included.
    end: Position,
    durable: Position,
    /// The end and the asker of each batch being appended.
    flight: VecDeque<(Position, Asker)>,
    /// A hello that came while batches were being appended.
    hello: Option<Asker>,
    stopping: Vec<Query>,
}

#[derive(Clone, Copy, Debug)]
struct Following {
    epoch: Epoch,
    primary: Holder,
    appends: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asker {
    member: MemberId,
    boot: BootId,
    session: u64,
    reign: Reign,
}

impl Follower {
    /// `durable` is the durable end of the account's log.
    #[must_use]
    pub fn new(
        account: AccountName,
        me: Holder,
        generation: Generation,
        durable: Position,
        bugs: Bugs,
    ) -> Self {
        Self {
            account,
            me,
            generation,
            bugs,
            following: None,
            known: Epoch::ZERO,
            stopped: None,
            end: durable,
            durable,
            flight: VecDeque::new(),
            hello: None,
            stopping: Vec::new(),
        }
    }

    /// Carries out [`dr::Action::SetRole`]. `durable` is the log's durable end now; it does not
    /// count while a batch is being appended.
    pub fn set_role(&mut self, role: &Role, durable: Position) {
        self.following = match role {
            Role::Secondary { epoch, primary, appends } => {
                self.known = self.known.max(*epoch);
                if *appends {
                    self.stopped = None;
                }
                Some(Following { epoch: *epoch, primary: *primary, appends: *appends })
            }
            Role::Primary { epoch, .. } => {
                self.known = self.known.max(*epoch);
                None
            }
            Role::Starting | Role::Bystander | Role::Stopped { .. } => None,
        };
        if self.flight.is_empty() {
            (self.end, self.durable) = (durable, durable);
        }
    }

    /// Carries out [`dr::Action::StopAppends`]: refuses this epoch and below from now on.
    pub fn stop_appends(&mut self, query: Query, epoch: Epoch) -> Vec<FollowAction> {
        self.stopped = self.stopped.max(Some(epoch));
        self.stopping.push(query);
        let mut actions = Vec::new();
        self.settle(&mut actions);
        actions
    }

    /// The oldest batch handed out is durable: the log ends there.
    ///
    /// # Panics
    /// When `end` is not the end of that batch: the log holds something else than was shipped.
    pub fn appended(&mut self, end: Position) -> Vec<FollowAction> {
        let (expected, asker) =
            self.flight.pop_front().expect("only what was handed out is appended");
        assert_eq!(expected, end, "the log ends where the batch does");
        self.durable = end;
        let body = Body::Standing { session: asker.session, end };
        let mut actions = vec![self.answer(asker, body)];
        self.settle(&mut actions);
        actions
    }

    /// Takes in what a primary says.
    pub fn receive(&mut self, parcel: &Parcel) -> Vec<FollowAction> {
        let head = &parcel.head;
        let session = match head.body {
            Body::Hello { session } | Body::Batch { session, .. } => session,
            _ => return Vec::new(),
        };
        if head.account != self.account || head.from.member == self.me.member {
            return Vec::new();
        }
        let asker =
            Asker { member: head.from.member, boot: head.from.boot, session, reign: head.reign };
        let mut actions = Vec::new();
        if let Some(why) = self.refuses(asker, &mut actions) {
            actions.push(self.answer(asker, Body::Refused { session, why }));
            return actions;
        }
        match head.body {
            Body::Batch { before, .. } => self.batch(asker, &before, parcel, &mut actions),
            _ => {
                self.hello = Some(asker);
                self.settle(&mut actions);
            }
        }
        actions
    }

    /// E5, P2: whether this primary, epoch and boot may append now.
    fn refuses(&self, asker: Asker, actions: &mut Vec<FollowAction>) -> Option<Refused> {
        let known = Reign { generation: self.generation, epoch: self.known };
        if asker.reign < known {
            let taken = self.bugs.has(Bug::StaleEpochAccepted) && self.following.is_some();
            return (!taken).then_some(Refused::OldEpoch { known });
        }
        let followed = self.following.filter(|following| {
            let reign = Reign { generation: self.generation, epoch: following.epoch };
            let primary = Holder { member: asker.member, boot: asker.boot };
            reign == asker.reign && primary == following.primary
        });
        let Some(following) = followed else {
            // E3: it voids what was known of the register; the machine will read it again.
            actions.push(FollowAction::OtherEpoch { epoch: asker.reign.epoch });
            return Some(Refused::NotFollowing);
        };
        let sealed = self.stopped.is_some_and(|stopped| asker.reign.epoch <= stopped);
        (sealed || !following.appends).then_some(Refused::NotFollowing)
    }

    fn batch(
        &mut self,
        asker: Asker,
        before: &Position,
        parcel: &Parcel,
        actions: &mut Vec<FollowAction>,
    ) {
        let session = asker.session;
        if *before != self.end {
            actions.push(self.answer(asker, Body::Refused { session, why: Refused::Misfit }));
            return;
        }
        let frames = parcel.frames_after(before).ok().filter(|frames| {
            frames.last().is_some_and(|last| last.position.epoch <= asker.reign.epoch)
        });
        match frames {
            Some(frames) => {
                self.end = frames.last().map_or(self.end, |last| last.position);
                self.flight.push_back((self.end, asker));
                actions.push(FollowAction::Append(frames));
            }
            None => {
                let broken = Body::Refused { session, why: Refused::Broken };
                actions.push(self.answer(asker, broken));
            }
        }
    }

    /// Answers what waits for the last batch being appended.
    fn settle(&mut self, actions: &mut Vec<FollowAction>) {
        if !self.flight.is_empty() {
            return;
        }
        if let Some(asker) = self.hello.take() {
            // What may have changed meanwhile is asked again.
            let body = match self.refuses(asker, actions) {
                Some(why) => Body::Refused { session: asker.session, why },
                None => Body::Standing { session: asker.session, end: self.durable },
            };
            actions.push(self.answer(asker, body));
        }
        for query in std::mem::take(&mut self.stopping) {
            actions.push(FollowAction::Stopped { query, end: self.durable });
        }
    }

    fn answer(&self, asker: Asker, body: Body) -> FollowAction {
        let head = Head {
            account: self.account.clone(),
            from: self.me,
            reign: asker.reign,
            to_boot: Some(asker.boot),
            body,
        };
        FollowAction::Send { to: asker.member, parcel: Parcel::bare(head) }
    }
}
