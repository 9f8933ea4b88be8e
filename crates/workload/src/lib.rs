//! Clients that drive a FHIR service over HTTP and write down what they were told: used by the
//! demo, the benchmarks and the loader.
//!
//! It knows the service only by its URL. It must not depend on any package that serves, so that
//! what it counts is independent of what it checks.

mod account;
mod blast;
mod clients;
mod history;
mod http;
mod link;
mod observation;
mod synthea;

pub use account::{Accounting, Acknowledged, account_for, acknowledged};
pub use blast::{Blast, Blasted, MakeRequest};
pub use clients::{Clients, ClientsConfig, Tally};
pub use history::{Record, write_records};
pub use http::{Answer, Connection, Error, Request};
pub use link::DelayedLink;
pub use observation::Reading;
pub use synthea::{Bundle, order_files, read_bundle};
