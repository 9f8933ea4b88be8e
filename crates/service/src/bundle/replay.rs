//! The answer of a transaction that was committed before, under the same key: entries find their
//! outcomes again in that commit, whatever its conditions match by now.

use super::transaction::{Slot, answers, steps};
use crate::call::Shared;
use crate::commit::{Matched, resolve};
use crate::route::{Interaction, Target};
use crate::{Answer, Call, Failure};
use base::ResourceId;
use fhir::{Resource, TypeId};
use std::sync::Arc;
use store::{Committed, Outcome};

/// The same answers as the first time.
pub async fn answers_again(
    call: &Call,
    bundle: Arc<Resource>,
    committed: Committed,
) -> Result<Vec<Answer>, Failure> {
    let outcomes: Vec<(TypeId, ResourceId)> = committed
        .outcomes
        .iter()
        .map(|Outcome { type_id, id, .. }| (*type_id, id.clone()))
        .collect();
    let slots = call.blocking(move |shared| slots(shared, &bundle, outcomes)).await??;
    answers(call, slots, Some(&committed)).await
}

/// Finds each entry's outcome: by id where the entry names one or its query leads to one; then
/// the creates without condition take what is left, in order.
fn slots(
    shared: &Shared,
    bundle: &Resource,
    outcomes: Vec<(TypeId, ResourceId)>,
) -> Result<Vec<Slot>, Failure> {
    let mut open: Vec<Option<(TypeId, ResourceId)>> = outcomes.into_iter().map(Some).collect();
    let mut take = |type_id: TypeId, id: Option<&ResourceId>| {
        let place = open.iter().position(|outcome| {
            outcome.as_ref().is_some_and(|(known_type, known)| {
                *known_type == type_id && id.is_none_or(|id| id == known)
            })
        });
        if let Some(place) = place {
            open[place] = None;
        }
        place
    };
    let steps = steps(shared, bundle)?;
    let mut slots: Vec<Option<Slot>> = Vec::with_capacity(steps.len());
    let mut creates = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        slots.push(match (step.asked.interaction, &step.asked.target) {
            (Interaction::Create, &Target::Type(type_id)) => {
                let query = step.preconditions.if_none_exist.as_deref();
                match query
                    .map(|query| resolve(shared, type_id, query, "ifNoneExist"))
                    .transpose()?
                {
                    Some(Matched::One(id, _)) => Some(match take(type_id, Some(&id)) {
                        Some(place) => Slot::Change(place),
                        None => Slot::Existing(type_id, id),
                    }),
                    _ => {
                        creates.push((index, type_id));
                        None
                    }
                }
            }
            (Interaction::Update | Interaction::Delete, Target::Instance(type_id, id)) => {
                take(*type_id, Some(id)).map(Slot::Change)
            }
            _ => Some(Slot::Read(Box::new(step))),
        });
    }
    for (index, type_id) in creates {
        slots[index] = take(type_id, None).map(Slot::Change);
    }
    // An entry without an outcome would be a fault of ours; the write stands all the same.
    Ok(slots.into_iter().map(|slot| slot.unwrap_or(Slot::Change(usize::MAX))).collect())
}
