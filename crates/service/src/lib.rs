//! FHIR's REST interactions over an [`store::AccountStore`] and a [`replication::Gate`]: from an
//! HTTP request to its answer, and from a socket to requests.
//!
//! Knows nothing of regions, registers or leases but what the gate says; nothing of how resources
//! are kept. Every refusal is an OperationOutcome. Depends on `store`, `replication` and below.

mod headers;
mod query;
mod route;

mod account;
mod answer;
mod call;
mod commit;
mod error;
mod idempotency;
mod outcome;
mod service;

mod body;
mod bundle;
mod interaction;
mod listing;
mod paging;

mod front;
mod server;

pub use account::Account;
pub use answer::{APPLIED, Answer, DURABILITY, EPOCH, Failure, POSITION, REQUEST_ID};
use call::Call;
pub use error::Error;
pub use front::{HttpResponse, Scheme};
pub use idempotency::IDEMPOTENCY_KEY;
pub use server::{Answers, Drained, serve};
pub use service::{Service, Settings};
