//! Batch and transaction (<https://hl7.org/fhir/R4/http.html#transaction>).

mod batch;
mod parallel;
mod references;
mod replay;
mod request;
mod transaction;

use crate::{Answer, Call, Error, Failure};
use base::ErrorKind;
use bytes::Bytes;
use fhir::Resource;
use std::sync::Arc;

/// A bundle's body of at least so many bytes is parsed where it holds up no other request.
const LARGE_BYTES: usize = 64 << 10;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Batch,
    Transaction,
}

/// What the reads of one bundle may still tell: a small request must not ask for more than fits.
struct Room {
    limit: usize,
    left: usize,
}

impl Room {
    fn new(call: &Call) -> Self {
        let limit = call.shared.service.limits().answer_bytes;
        Self { limit, left: limit }
    }

    /// Nothing more fits: reads are refused before they are made.
    const fn is_full(&self) -> bool {
        self.left == 0
    }

    /// The answer to a read, if it fits.
    fn admit(&mut self, index: usize, answer: Answer) -> Answer {
        let bytes = answer.body.as_ref().map_or(0, Bytes::len);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                answer
            }
            None => self.refuse(index),
        }
    }

    fn refuse(&mut self, index: usize) -> Answer {
        self.left = 0;
        request::of_entry(index, Error::AnswerTooLong { limit: self.limit }.into()).to_answer()
    }
}

/// Answers `POST [base]`.
pub async fn answer(call: &Call, body: Bytes) -> Result<Answer, Failure> {
    let bundle = Arc::new(parse(call, body).await?);
    if bundle.type_id().name() != "Bundle" {
        let reason = format!("a Bundle is expected here, not a {}", bundle.type_id().name());
        return Err(refused("resourceType", reason).into());
    }
    let kind = match bundle.bundle_type() {
        Some("batch") => Kind::Batch,
        Some("transaction") => Kind::Transaction,
        Some(_) => {
            let reason = "only bundles of type batch and transaction are acted on".to_owned();
            return Err(refused("type", reason).into());
        }
        None => return Err(refused("type", "the bundle has no type".to_owned()).into()),
    };
    let (count, limit) = (bundle.bundle_len(), call.shared.service.limits().bundle_entries);
    if count > limit {
        return Err(Error::TooManyEntries { count, limit }.into());
    }
    let answers = match kind {
        Kind::Batch => batch::batch(call, &bundle).await?,
        Kind::Transaction => transaction::transaction(call, bundle).await?,
    };
    Ok(Answer { body: Some(response(kind, &answers)), ..Answer::default() })
}

/// Parses the body; a large one off the reactor.
async fn parse(call: &Call, body: Bytes) -> Result<Resource, Failure> {
    if body.is_empty() {
        return Err(Error::NoBody.into());
    }
    let nesting = call.shared.service.limits().nesting;
    let bundle = if body.len() < LARGE_BYTES {
        checked(&body, nesting)
    } else {
        call.blocking(move |_| checked(&body, nesting)).await?
    };
    Ok(bundle?)
}

/// The bundle, itself as its definition asks; its entries' resources are checked one by one later.
fn checked(body: &Bytes, nesting: usize) -> Result<Resource, Error> {
    let issues = |kind| move |issues| Error::Issues { kind, issues };
    let bundle = Resource::parse(body, nesting).map_err(issues(ErrorKind::Invalid))?;
    bundle.validate_without_entries().map_err(issues(ErrorKind::Unprocessable))?;
    Ok(bundle)
}

/// A refusal of the bundle by one of its elements.
fn refused(element: &str, reason: String) -> Error {
    Error::Bundle { place: format!("Bundle.{element}"), reason }
}

/// The response bundle, entries in the order of the request.
fn response(kind: Kind, answers: &[Answer]) -> Bytes {
    let bodies: usize =
        answers.iter().filter_map(|answer| answer.body.as_ref()).map(Bytes::len).sum();
    let mut out = Vec::with_capacity(128 + bodies + answers.len() * 320);
    let name = match kind {
        Kind::Batch => "batch-response",
        Kind::Transaction => "transaction-response",
    };
    out.extend_from_slice(b"{\"resourceType\":\"Bundle\",\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    for (index, answer) in answers.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"entry\":[" } else { b"," });
        answer.push_entry(&mut out);
    }
    out.extend_from_slice(if answers.is_empty() { b"}" } else { b"]}" });
    Bytes::from(out)
}
