//! Requests in a region, in the service's order: admitted by the real gate, written or read by
//! the real committer, held until acknowledgeable, checked last, answered.

use crate::account::{Told as Done, content_of_body, read_of, write_of};
use crate::client::{Ask, Reply, Told, Want};
use crate::ledger::{Acknowledged, Actor, Seen};
use crate::machine::{member_id, place_of};
use crate::packet::Packet;
use crate::process::Process;
use crate::scene::Scene;
use crate::{Place, RequestId};
use base::{Hash, Position, Seq, Stamp, VersionId};
use dr::Role;
use parking_lot::Mutex;
use replication::{Durability, Gate as _, Refusal, Term};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Applied, Committed, Guard, Refused};

/// A request under way.
struct Pending {
    ask: Ask,
    to: Place,
    term: Term,
    /// Whether it may have changed something.
    written: bool,
    answer: Answer,
}

#[derive(Clone, Copy)]
enum Answer {
    None,
    Done { position: Position, version: VersionId, stamp: Stamp },
    Shown(Option<(VersionId, Hash)>),
    Precondition,
}

type Allowed = Arc<Mutex<Vec<(u64, Result<Durability, Refusal>)>>>;

/// Requests under way.
#[derive(Default)]
pub struct Serving {
    number: u64,
    pending: BTreeMap<u64, Pending>,
    allowed: Allowed,
    /// Requests passed on to the primary, and for whom.
    passed: BTreeMap<(RequestId, u32), Place>,
}

impl Serving {
    /// Whether the committer owes anybody an answer.
    #[must_use]
    pub fn waits_for_the_store(&self) -> bool {
        self.pending.values().any(|pending| matches!(pending.answer, Answer::None))
    }
}

impl Process {
    /// Who acts here, for the checkers: it would pass the last check now.
    #[must_use]
    pub fn actor(&self) -> Option<Actor> {
        let dr::Gate::Open(open) = self.gate else { return None };
        let term = Term { member: member_id(self.place), boot: open.boot, epoch: open.epoch };
        self.gates.check_last(&term).ok().map(|()| self.actor_of(&term))
    }

    const fn actor_of(&self, term: &Term) -> Actor {
        Actor { place: self.place, boot: term.boot, epoch: term.epoch }
    }

    /// An attempt comes.
    pub fn ask(&mut self, scene: &mut Scene, from: Place, ask: Ask) {
        let term = match self.gates.admit() {
            Ok(term) => term,
            Err(refusal) => {
                if !self.pass_on(scene, from, ask) {
                    let told = self.refusal(refusal);
                    self.reply(scene, from, &ask, told);
                }
                return;
            }
        };
        self.serving.number += 1;
        let number = self.serving.number;
        let written = ask.want != Want::Read;
        let pending = Pending { ask, to: from, term, written, answer: Answer::None };
        self.serving.pending.insert(number, pending);
        let Some(account) = &self.account else { return };
        let guard = match ask.want {
            Want::PutIfMatch(version) => Guard { if_match: Some(version), must_be_absent: false },
            _ => Guard::default(),
        };
        if written {
            account.submit(number, write_of(ask.request, ask.subject, guard));
        } else {
            match read_of(&account.core, ask.subject) {
                Ok(shown) => {
                    let seq = shown.as_ref().map_or(Seq::ZERO, |shown| shown.seq);
                    let shown = shown.and_then(|it| Some((it.version, content_of_body(&it.body?))));
                    self.wait(number, Answer::Shown(shown), seq);
                }
                Err(error) => self.fail(scene, &error),
            }
        }
    }

    /// Waits until an answer may be given.
    fn wait(&mut self, number: u64, answer: Answer, depends: Seq) {
        if let Some(pending) = self.serving.pending.get_mut(&number) {
            pending.answer = answer;
            let allowed = self.serving.allowed.clone();
            let done = Box::new(move |result| allowed.lock().push((number, result)));
            self.gates.acknowledgeable(depends, done);
        }
    }

    /// Takes what the committer told of clients' writes and of the region's own commits.
    pub fn take_told(&mut self, scene: &mut Scene) {
        let told = self.account.as_ref().map(crate::account::Account::take_told);
        for told in told.unwrap_or_default() {
            match told {
                Done::Written(number, Ok(committed)) => self.written(number, &committed),
                Done::Written(number, Err(refused)) => self.refused(scene, number, &refused),
                Done::Opened(result) => self.opened(scene, result),
                Done::Quarantined(kept) => self.quarantined(scene, kept),
            }
        }
    }

    fn written(&mut self, number: u64, committed: &Committed) {
        let outcome = &committed.outcomes[0];
        let (version, stamp) = (outcome.version, outcome.stamp);
        let position = committed.position;
        self.wait(number, Answer::Done { position, version, stamp }, position.seq);
    }

    fn refused(&mut self, scene: &mut Scene, number: u64, refused: &Refused) {
        if let store::Error::VersionMismatch { .. } = refused.error {
            self.wait(number, Answer::Precondition, refused.after);
            return;
        }
        let Some(pending) = self.serving.pending.remove(&number) else { return };
        scene.note(self.place, || format!("{} is refused: {}", pending.ask.request, refused.error));
        let told = if refused.applied == Applied::No { Told::NotApplied } else { Told::Unknown };
        self.reply(scene, pending.to, &pending.ask, told);
    }

    /// Answers what may be answered now: the last check comes here.
    pub fn settle(&mut self, scene: &mut Scene) {
        let allowed = std::mem::take(&mut *self.serving.allowed.lock());
        for (number, result) in allowed {
            let Some(pending) = self.serving.pending.remove(&number) else { continue };
            let allowed = result.and_then(|_| self.gates.check_last(&pending.term));
            let told = match allowed {
                Ok(()) => self.answer(scene, &pending),
                Err(_) if pending.written => Told::Unknown,
                Err(refusal) => self.refusal(refusal),
            };
            self.reply(scene, pending.to, &pending.ask, told);
        }
    }

    fn answer(&self, scene: &mut Scene, pending: &Pending) -> Told {
        let at = scene.now();
        let (actor, ask) = (self.actor_of(&pending.term), &pending.ask);
        match pending.answer {
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
            Answer::None => unreachable!("only what has an answer waits for it"),
        }
    }

    fn refusal(&self, refusal: Refusal) -> Told {
        match refusal {
            Refusal::NotPrimary { .. } => {
                let value = self.view().and_then(|view| view.value);
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

    fn reply(&self, scene: &mut Scene, to: Place, ask: &Ask, told: Told) {
        let reply = Reply { request: ask.request, attempt: ask.attempt, told };
        scene.send(self.place, to, Packet::Reply(reply));
    }

    /// How this region stands, for gateways.
    #[must_use]
    pub fn status(&self) -> gateway::Status {
        let mut accounts = Vec::new();
        if let Some(view) = self.view()
            && let Some(value) = view.value
        {
            accounts.push(gateway::AccountStatus {
                account: view.account.to_string(),
                generation: value.reign.generation.get(),
                epoch: value.reign.epoch.get(),
                open: self.gates.admit().is_ok(),
                primary: value.primary.member.to_string(),
                compute: view.compute.map(|member| member.to_string()),
                ..gateway::AccountStatus::default()
            });
        }
        gateway::Status {
            id: member_id(self.place).to_string(),
            name: self.place.name().to_owned(),
            kind: "region".to_owned(),
            boot: self.boot.to_string(),
            members: Vec::new(),
            accounts,
        }
    }
}
