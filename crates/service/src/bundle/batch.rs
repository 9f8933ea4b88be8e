//! Batch: every entry is a request of its own, answered as if it had come alone.

use super::Room;
use super::request::{Step, step};
use crate::idempotency;
use crate::{Answer, Call, Error, Failure, interaction};
use fhir::Resource;
use std::sync::Arc;
use store::Applied;
use tokio::task::JoinSet;

/// Entries of one batch that are worked on at one time: enough to share commits' fsyncs.
const IN_FLIGHT: usize = 64;

/// Answers every entry; a refused one does not touch the others.
pub async fn batch(call: &Call, bundle: &Resource) -> Result<Vec<Answer>, Failure> {
    let mut answers: Vec<Answer> = Vec::new();
    answers.resize_with(bundle.bundle_len(), Answer::default);
    let mut room = Room::new(call);
    let mut running = JoinSet::new();
    for (index, entry) in bundle.bundle_entries().enumerate() {
        if running.len() >= IN_FLIGHT {
            collect(running.join_next().await, &mut room, &mut answers)?;
        }
        match step(index, entry, &call.shared.base) {
            Ok(step) if step.reads() && room.is_full() => answers[index] = room.refuse(index),
            Ok(step) => _ = running.spawn(one(of_step(call, &step), step)),
            Err(error) => answers[index] = Failure::from(error).to_answer(),
        }
    }
    while let Some(done) = running.join_next().await {
        collect(Some(done), &mut room, &mut answers)?;
    }
    Ok(answers)
}

/// The interaction of one entry.
pub fn of_step(call: &Call, step: &Step) -> Call {
    let key = call.idempotency.as_ref();
    Call {
        shared: Arc::clone(&call.shared),
        prefer: call.prefer,
        preconditions: step.preconditions.clone(),
        idempotency: key.map(|key| idempotency::of_entry(key, step.index)),
    }
}

/// The place of an entry, whether it reads, and its answer.
type Done = (usize, bool, Answer);

async fn one(call: Call, step: Step) -> Done {
    let (index, reads) = (step.index, step.reads());
    let answer = match interaction::answer(&call, step.asked).await {
        Ok(answer) => answer,
        Err(failure) => super::request::of_entry(index, failure).to_answer(),
    };
    (index, reads, answer)
}

/// Puts an answer in its place.
fn collect(
    done: Option<Result<Done, tokio::task::JoinError>>,
    room: &mut Room,
    answers: &mut [Answer],
) -> Result<(), Failure> {
    match done {
        Some(Ok((index, reads, answer))) => {
            answers[index] = if reads { room.admit(index, answer) } else { answer };
        }
        Some(Err(_)) => {
            return Err(Failure { error: Error::Stopping, applied: Applied::Unknown });
        }
        None => {}
    }
    Ok(())
}
