//! Shipping an account's log between regions, what becomes of a cut tail, and the gate that the
//! service passes.
//!
//! All cores here are synchronous and own no socket, no thread and no clock: a driver carries
//! parcels between them. They execute and report; `dr` alone decides who is primary. Depends on
//! `dr`, `store` and `control`.

mod gate;
mod lag;

mod account_gate;

mod parcel;

mod ship;

mod follow;

mod fetch;

mod cut;

mod quarantine;

mod note;

mod digest;

mod error;

pub use account_gate::AccountGate;
pub use cut::{TailLog, carry_out, export_file, export_folder};
pub use digest::{Compared, DIGEST_EVERY, DigestWatch, answer_digest};
pub use error::Error;
pub use fetch::{Fetch, FetchAction, FetchPlan, serve_fetch};
pub use follow::{FollowAction, Follower};
pub use gate::{Acknowledged, Durability, Gate, Refusal, Term};
pub use lag::Lag;
pub use note::QuarantineSearch;
pub use parcel::{Body, Head, Parcel, Refused, Tail};
pub use quarantine::{Keeping, Quarantine, Quarantined, Record, Upload, Uploading};
pub use ship::{Route, ShipEvent, ShipLimits, Shipper};
