//! Requests in a region: admitted by the gate, written, and answered when the gate allows it.

use crate::account::{Commit, row};
use crate::client::{Ask, Reply, Told, Want};
use crate::ledger::{Acknowledged, Actor, Seen};
use crate::machine::{Machine, place_of};
use crate::packet::Packet;
use crate::process::{Process, account_name};
use crate::scene::Scene;
use crate::{Place, RequestId};
use base::{BootTime, Epoch, Fork, Hash, Position, Seq, Span, Stamp, VersionId};
use dr::{Acks, Closed, Gate, Role, Term};
use std::collections::BTreeMap;

/// How long an answer may wait for its position to become acknowledgeable.
const WAIT: Span = Span::from_ms(8000);

/// An answer that waits.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    ask: Ask,
    to: Place,
    epoch: Epoch,
    until: BootTime,
    /// The highest position that the answer depends on.
    depends: Seq,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Done { position: Position, version: VersionId, stamp: Stamp },
    Shown(Option<(VersionId, Hash)>),
    Precondition,
}

/// Requests under way.
#[derive(Default)]
pub struct Serving {
    waiters: Vec<Waiter>,
    fork: Fork,
    /// Requests passed on to the primary, and for whom.
    passed: BTreeMap<(RequestId, u32), Place>,
}

impl Serving {
    /// New versions carry this fork.
    pub const fn begin_epoch(&mut self, fork: Fork) {
        self.fork = fork;
    }
}

impl Process {
    /// The term in which this region acts now, if it does.
    #[must_use]
    pub fn term(&self, machine: &Machine, scene: &Scene) -> Option<Term> {
        match self.gate {
            Gate::Open(term) if machine.clock.boot(scene.now()) < term.valid_until => Some(term),
            _ => None,
        }
    }

    /// Who acts here, for the checkers: it would pass the last check now.
    #[must_use]
    pub fn actor(&self, machine: &Machine, scene: &Scene) -> Option<Actor> {
        let term = self.term(machine, scene)?;
        let acts = !matches!(term.acks, Acks::Nothing);
        acts.then_some(Actor { place: self.place, boot: term.boot, epoch: term.epoch })
    }

    /// An attempt comes.
    pub fn ask(&mut self, machine: &mut Machine, scene: &mut Scene, from: Place, ask: Ask) {
        let admitted = self.term(machine, scene).filter(|term| term.admits);
        let Some(term) = admitted else {
            if !self.pass_on(scene, from, ask) {
                let told = self.refusal();
                self.reply(scene, from, &ask, told);
            }
            return;
        };
        let Some((depends, answer)) = self.work(machine, scene, &ask, &term) else {
            self.reply(scene, from, &ask, Told::NotApplied);
            return;
        };
        let until = machine.clock.boot(scene.now()) + WAIT;
        let waiter = Waiter { ask, to: from, epoch: term.epoch, until, depends, answer };
        self.serving.waiters.push(waiter);
    }

    fn refusal(&self) -> Told {
        match self.gate {
            Gate::Closed { why: Closed::NotPrimary, .. } => {
                let view = self.member.view(&account_name());
                let value = view.and_then(|view| view.value);
                Told::NotPrimary(value.map(|it| (it.reign.epoch.get(), it.primary.member)))
            }
            _ => Told::NotApplied,
        }
    }

    /// A secondary passes a gateway's request on to the primary: one hop.
    fn pass_on(&mut self, scene: &mut Scene, from: Place, ask: Ask) -> bool {
        let Role::Secondary { primary, .. } = &self.role else { return false };
        let Some(to) = place_of(primary.member) else { return false };
        if !Place::GATEWAYS.contains(&from) {
            return false;
        }
        scene.count("request passed on");
        self.serving.passed.insert((ask.request, ask.attempt), from);
        scene.send(self.place, to, Packet::Ask(ask));
        true
    }

    /// The answer to a request that was passed on.
    pub fn pass_back(&mut self, scene: &mut Scene, reply: &Reply) {
        if let Some(to) = self.serving.passed.remove(&(reply.request, reply.attempt)) {
            scene.send(self.place, to, Packet::Reply(*reply));
        }
    }

    /// How this region stands, for gateways.
    #[must_use]
    pub fn status(&self, machine: &Machine, scene: &Scene) -> gateway::Status {
        let mut accounts = Vec::new();
        if let Some(view) = self.member.view(&account_name())
            && let Some(value) = view.value
        {
            let open = self.term(machine, scene).is_some_and(|term| term.admits);
            accounts.push(gateway::AccountStatus {
                account: account_name().to_string(),
                generation: value.reign.generation.get(),
                epoch: value.reign.epoch.get(),
                open,
                primary: value.primary.member.to_string(),
                compute: view.compute.map(|member| member.to_string()),
                ..gateway::AccountStatus::default()
            });
        }
        gateway::Status {
            id: crate::machine::member_id(self.place).to_string(),
            name: self.place.name().to_owned(),
            kind: "region".to_owned(),
            boot: self.boot.to_string(),
            members: Vec::new(),
            accounts,
        }
    }

    /// Does the work of a request; `None` when no stamp is left below the ceiling.
    fn work(
        &mut self,
        machine: &mut Machine,
        scene: &mut Scene,
        ask: &Ask,
        term: &Term,
    ) -> Option<(Seq, Answer)> {
        let wall = machine.clock.wall(scene.now());
        let account = self.account.as_mut()?;
        let newest = account.newest.get(&ask.subject).copied();
        let depends = newest.map_or(Seq::ZERO, |(_, seq)| seq);
        if ask.want == Want::Read {
            let shown = newest.map(|(row, _)| (row.version, row.content));
            return Some((depends, Answer::Shown(shown)));
        }
        if let Some((row, position)) = account.by_request.get(&ask.request).copied() {
            let (version, stamp) = (row.version, row.stamp);
            return Some((position.seq, Answer::Done { position, version, stamp }));
        }
        if let Want::PutIfMatch(version) = ask.want
            && newest.is_none_or(|(row, _)| row.version != version)
        {
            return Some((depends, Answer::Precondition));
        }
        let stamp = wall.max(account.stamp);
        if stamp >= term.ceiling {
            return None;
        }
        let version = account.next_version(ask.subject, self.serving.fork);
        let row = row(ask.request, ask.subject, version, stamp);
        let secondary = self.shipping.mark();
        let appended = account.append(term.epoch, secondary, &[Commit::Write(row)]);
        let position = appended.expect("the log appends")[0];
        self.shipping.appended(position.seq, machine.clock.boot(scene.now()));
        self.sync_soon(machine, scene);
        Some((position.seq, Answer::Done { position, version, stamp }))
    }

    /// Answers what may be answered now, and gives up what never may.
    pub fn settle(&mut self, machine: &mut Machine, scene: &mut Scene) {
        if self.serving.waiters.is_empty() {
            return;
        }
        let now = machine.clock.boot(scene.now());
        let term = self.term(machine, scene);
        let durable = self.account.as_ref().map_or(Seq::ZERO, |copy| copy.log.durable().seq);
        let over = match self.gate {
            Gate::Open(term) => Some(term.epoch),
            Gate::Closed { .. } => None,
        };
        for waiter in std::mem::take(&mut self.serving.waiters) {
            let same = term.filter(|term| term.epoch == waiter.epoch);
            let allowed = same.is_some_and(|term| match term.acks {
                Acks::Nothing => false,
                Acks::Local => true,
                Acks::Bounded { max_lag } => {
                    self.shipping.waiting_since().is_none_or(|since| now.since(since) <= max_lag)
                }
            });
            if allowed && waiter.depends <= durable {
                let term = same.expect("it was allowed");
                self.answer(scene, &waiter, &term);
            } else if now >= waiter.until || over.is_some_and(|epoch| epoch != waiter.epoch) {
                self.reply(scene, waiter.to, &waiter.ask, Told::Unknown);
            } else {
                self.serving.waiters.push(waiter);
            }
        }
    }

    fn answer(&self, scene: &mut Scene, waiter: &Waiter, term: &Term) {
        let at = scene.now();
        let actor = Actor { place: self.place, boot: term.boot, epoch: term.epoch };
        let ask = &waiter.ask;
        let told = match waiter.answer {
            Answer::Done { position, version, stamp } => {
                let ack = Acknowledged { at, actor, position, version, stamp };
                scene.ledger.acknowledge(ask.request, ack);
                Told::Done(version)
            }
            Answer::Shown(version) => {
                let (subject, sent_at) = (ask.subject, ask.began);
                scene.ledger.see(at, Seen { subject, sent_at, actor, version });
                Told::Shown(version.map(|(version, _)| version))
            }
            Answer::Precondition => Told::Precondition,
        };
        self.reply(scene, waiter.to, ask, told);
    }

    /// What is in flight is answered `unknown` (Q2).
    pub fn give_up_waiting(&mut self, scene: &mut Scene) {
        for waiter in std::mem::take(&mut self.serving.waiters) {
            self.reply(scene, waiter.to, &waiter.ask, Told::Unknown);
        }
    }

    fn reply(&self, scene: &mut Scene, to: Place, ask: &Ask, told: Told) {
        let reply = Reply { request: ask.request, attempt: ask.attempt, told };
        scene.send(self.place, to, Packet::Reply(reply));
    }
}
