//! Transaction: all entries or none, in the order DELETE, POST, PUT, GET
//! (<https://hl7.org/fhir/R4/http.html#trules>). Every change is part of one commit.
//!
//! parse → resolve conditions, each once → rewrite, validate, extract in parallel → one commit;
//! when a condition changed meanwhile, again from the conditions on.

use super::Room;
use super::batch::of_step;
use super::parallel;
use super::references::References;
use super::replay;
use super::request::{Step, of_entry, step};
use crate::call::Shared;
use crate::commit::{CONDITION_TRIES, Matched};
use crate::commit::{
    check_type, condition_changed, guard, prepare, recall, resolve, submit, validate,
};
use crate::interaction;
use crate::interaction::create::matched;
use crate::interaction::delete::deleted;
use crate::interaction::update::{check_id, written};
use crate::route::{Interaction, Target};
use crate::{Answer, Call, Error, Failure};
use base::{ResourceId, Stamp};
use fhir::{Resource, TypeId};
use search::{Extracted, Filter, Meta};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use store::{Action, ChangeRequest, Committed, Condition, Error as StoreError, Guard, Write};

/// What answers an entry.
pub enum Slot {
    /// The change of this place in the commit.
    Change(usize),
    /// A resource that a conditional create matched.
    Existing(TypeId, ResourceId),
    /// A read, after the commit.
    Read(Box<Step>),
}

/// A transaction that is ready for the store.
struct Ready {
    write: Write,
    slots: Vec<Slot>,
}

/// One resource to be put.
struct Put {
    index: usize,
    type_id: TypeId,
    id: ResourceId,
    guard: Guard,
    resource: Resource,
    full_url: Option<String>,
}

/// Answers every entry, or refuses all.
pub async fn transaction(call: &Call, bundle: Arc<Resource>) -> Result<Vec<Answer>, Failure> {
    if let Some(known) = recall(call)? {
        return replay::answers_again(call, bundle, known).await;
    }
    for _ in 0..CONDITION_TRIES {
        let ready = make_ready(call, &bundle).await?;
        let Ready { mut write, slots } = ready;
        if write.changes.is_empty() {
            return answers(call, slots, None).await;
        }
        write.idempotency.clone_from(&call.idempotency);
        match submit(call, write).await {
            Err(failure) if condition_changed(&failure) => {}
            Err(failure) => return Err(of_change(&slots, failure)),
            Ok(committed) if committed.replayed => {
                return replay::answers_again(call, bundle, committed).await;
            }
            Ok(committed) => return answers(call, slots, Some(&committed)).await,
        }
    }
    Err(Error::Contended.into())
}

/// A failure of one change, as one of the entry that asked for it.
fn of_change(slots: &[Slot], failure: Failure) -> Failure {
    let change = match &failure.error {
        Error::Store(
            StoreError::VersionMismatch { index, .. } | StoreError::Exists { index, .. },
        ) => *index,
        _ => return failure,
    };
    let asked = |slot: &Slot| matches!(slot, Slot::Change(place) if *place == change);
    match slots.iter().position(asked) {
        Some(entry) => of_entry(entry, failure),
        None => failure,
    }
}

/// Prepares on all cores, one bundle for each core at a time.
async fn make_ready(call: &Call, bundle: &Arc<Resource>) -> Result<Ready, Failure> {
    let _place = call.shared.service.preparing().acquire().await.map_err(|_| Error::Stopping)?;
    let bundle = Arc::clone(bundle);
    call.blocking(move |shared| ready(shared, &bundle)).await?
}

/// Everything before the store.
fn ready(shared: &Shared, bundle: &Resource) -> Result<Ready, Failure> {
    let steps = steps(shared, bundle)?;
    let mut plan = Plan::new(steps.len());
    for step in steps {
        let index = step.index;
        plan.add(shared, step).map_err(|failure| of_entry(index, failure))?;
    }
    let deletes = plan.deletes.iter().map(|(_, change)| (change.type_id, &change.id));
    let mut own = Own::new(plan.posts.iter().chain(&plan.puts), deletes);
    for put in plan.posts.iter().chain(&plan.puts) {
        plan.references
            .resolve_in(shared, &put.resource, put.index, &mut own, &mut plan.conditions)
            .map_err(|failure| of_entry(put.index, failure))?;
    }
    plan.finish()
}

/// What the transaction itself puts: its conditional references may lead there, for they are
/// resolved after its changes.
pub struct Own<'a> {
    puts: Vec<&'a Put>,
    changed: HashSet<(TypeId, &'a ResourceId)>,
    /// By place in `puts`: what is searched in it, made when it is first asked for.
    extracted: HashMap<usize, Extracted>,
}

impl<'a> Own<'a> {
    fn new(
        puts: impl Iterator<Item = &'a Put>,
        deletes: impl Iterator<Item = (TypeId, &'a ResourceId)>,
    ) -> Self {
        let puts: Vec<&Put> = puts.collect();
        let changed = puts.iter().map(|put| (put.type_id, &put.id)).chain(deletes).collect();
        Self { puts, changed, extracted: HashMap::new() }
    }

    /// Whether this resource is put or deleted: then it counts as it is after that.
    pub fn changes(&self, type_id: TypeId, id: &ResourceId) -> bool {
        self.changed.contains(&(type_id, id))
    }

    /// The resources put that a query matches.
    pub fn matches(&mut self, type_id: TypeId, filter: &Filter) -> Vec<ResourceId> {
        let mut found = Vec::new();
        for (place, put) in self.puts.iter().enumerate() {
            if put.type_id != type_id {
                continue;
            }
            let extracted =
                self.extracted.entry(place).or_insert_with(|| search::extract(&put.resource));
            let meta = Meta { id: put.id.clone(), updated: Stamp::MAX };
            if filter.matches(&meta, extracted) {
                found.push(put.id.clone());
            }
        }
        found
    }
}

/// The entries, understood; the first that is not refuses all.
pub fn steps(shared: &Shared, bundle: &Resource) -> Result<Vec<Step>, Error> {
    let entries = bundle.bundle_entries().enumerate();
    entries.map(|(index, entry)| step(index, entry, &shared.base)).collect()
}

/// What becomes of the entries, as far as it is known.
#[derive(Default)]
struct Plan {
    references: References,
    conditions: Vec<Condition>,
    named: HashSet<(TypeId, ResourceId)>,
    queries: HashSet<(TypeId, String)>,
    deletes: Vec<(usize, ChangeRequest)>,
    /// Creates.
    posts: Vec<Put>,
    /// Updates.
    puts: Vec<Put>,
    slots: Vec<Option<Slot>>,
}

impl Plan {
    fn new(len: usize) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(len, || None);
        Self { slots, ..Self::default() }
    }

    fn add(&mut self, shared: &Shared, step: Step) -> Result<(), Failure> {
        match (step.asked.interaction, &step.asked.target) {
            (Interaction::Create, &Target::Type(type_id)) => self.create(shared, step, type_id),
            (Interaction::Update, Target::Instance(type_id, id)) => {
                let (type_id, id) = (*type_id, id.clone());
                self.update(step, type_id, id)
            }
            (Interaction::Delete, Target::Instance(type_id, id)) => {
                self.name(step.index, *type_id, id)?;
                let change = ChangeRequest {
                    type_id: *type_id,
                    id: id.clone(),
                    action: Action::Delete,
                    guard: guard(&step.preconditions)?,
                };
                self.deletes.push((step.index, change));
                Ok(())
            }
            _ => {
                let index = step.index;
                self.slots[index] = Some(Slot::Read(Box::new(step)));
                Ok(())
            }
        }
    }

    fn create(&mut self, shared: &Shared, step: Step, type_id: TypeId) -> Result<(), Failure> {
        let Step { index, asked, preconditions, full_url } = step;
        let mut id = shared.service.mint_id();
        let mut exists = false;
        if let Some(query) = preconditions.if_none_exist {
            if !self.queries.insert((type_id, query.clone())) {
                let reason = "another entry of the transaction has the same ifNoneExist";
                return Err(overlap(index, reason));
            }
            let place = format!("Bundle.entry[{index}].request.ifNoneExist");
            match resolve(shared, type_id, &query, &place)? {
                Matched::None(condition) => self.conditions.push(condition),
                Matched::One(found, condition) => {
                    self.conditions.push(condition);
                    (id, exists) = (found, true);
                }
                Matched::Several => return Err(Error::SeveralMatches { place }.into()),
            }
        }
        self.lead(index, full_url.clone(), type_id, &id)?;
        self.name(index, type_id, &id)?;
        if exists {
            self.slots[index] = Some(Slot::Existing(type_id, id));
            return Ok(());
        }
        let resource = asked.resource.ok_or(Error::NoBody)?;
        check_type(&resource, type_id)?;
        let guard = Guard { if_match: None, must_be_absent: true };
        self.posts.push(Put { index, type_id, id, guard, resource, full_url });
        Ok(())
    }

    fn update(&mut self, step: Step, type_id: TypeId, id: ResourceId) -> Result<(), Failure> {
        let Step { index, asked, preconditions, full_url } = step;
        self.lead(index, full_url.clone(), type_id, &id)?;
        self.name(index, type_id, &id)?;
        let resource = asked.resource.ok_or(Error::NoBody)?;
        check_type(&resource, type_id)?;
        check_id(&resource, &id)?;
        let guard = guard(&preconditions)?;
        self.puts.push(Put { index, type_id, id, guard, resource, full_url });
        Ok(())
    }

    /// References to the entry's `fullUrl` lead to what it is stored as.
    fn lead(
        &mut self,
        index: usize,
        full_url: Option<String>,
        type_id: TypeId,
        id: &ResourceId,
    ) -> Result<(), Failure> {
        let Some(full_url) = full_url else { return Ok(()) };
        let target = format!("{}/{id}", type_id.name());
        if self.references.add_entry(full_url, target) {
            Ok(())
        } else {
            Err(overlap(index, "another entry of the transaction has the same fullUrl"))
        }
    }

    /// No two entries may be about one resource.
    fn name(&mut self, index: usize, type_id: TypeId, id: &ResourceId) -> Result<(), Failure> {
        if self.named.insert((type_id, id.clone())) {
            Ok(())
        } else {
            Err(overlap(index, "another entry of the transaction is about the same resource"))
        }
    }

    /// Prepares all that is put, in parallel, and orders the changes.
    fn finish(self) -> Result<Ready, Failure> {
        let Self { references, conditions, deletes, posts, puts, mut slots, .. } = self;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let all: Vec<Put> = posts.into_iter().chain(puts).collect();
        let prepared = parallel::map(all, threads, |put| finish_put(&references, put));
        let mut changes = Vec::with_capacity(deletes.len() + prepared.len());
        for change in deletes.into_iter().map(Ok).chain(prepared) {
            let (index, change) = change?;
            slots[index] = Some(Slot::Change(changes.len()));
            changes.push(change);
        }
        let slots = slots.into_iter().flatten().collect();
        Ok(Ready { write: Write { changes, conditions, ..Write::default() }, slots })
    }
}

/// Rewrites, validates and prepares one resource.
fn finish_put(references: &References, put: Put) -> Result<(usize, ChangeRequest), Failure> {
    let Put { index, type_id, id, guard, mut resource, full_url } = put;
    validate(&resource).map_err(|error| of_entry(index, error.into()))?;
    references.rewrite(&mut resource, full_url.as_deref());
    let action = Action::Put(prepare(&resource, &id));
    Ok((index, ChangeRequest { type_id, id, action, guard }))
}

/// The refusal of entries that get into each other's way.
fn overlap(index: usize, reason: &str) -> Failure {
    Error::Bundle { place: format!("Bundle.entry[{index}]"), reason: reason.to_owned() }.into()
}

/// The answers of all entries, reads last.
pub async fn answers(
    call: &Call,
    slots: Vec<Slot>,
    committed: Option<&Committed>,
) -> Result<Vec<Answer>, Failure> {
    let mut answers = Vec::with_capacity(slots.len());
    let mut room = Room::new(call);
    for slot in slots {
        answers.push(match slot {
            Slot::Change(place) => changed(call, committed, place)?,
            Slot::Existing(type_id, id) => {
                let found = call.store().read(type_id, &id).map_err(Error::from)?;
                matched(call, found.ok_or(Error::NotFound)?)?
            }
            Slot::Read(step) => {
                let entry = of_step(call, &step);
                let index = step.index;
                if room.is_full() {
                    room.refuse(index)
                } else {
                    match interaction::answer(&entry, step.asked).await {
                        Ok(answer) => room.admit(index, answer),
                        Err(failure) => of_entry(index, failure).to_answer(),
                    }
                }
            }
        });
    }
    Ok(answers)
}

/// The answer about one change.
fn changed(call: &Call, committed: Option<&Committed>, place: usize) -> Result<Answer, Failure> {
    let Some(committed) = committed else { return Err(Error::Contended.into()) };
    let outcome = committed.outcomes.get(place);
    if outcome.is_some_and(|outcome| {
        matches!(outcome.effect, store::Effect::Deleted | store::Effect::Unchanged)
    }) {
        return Ok(deleted(call, committed, place));
    }
    written(call, committed, place)
}
