//! The one endpoint: finds the region that serves an account, sends requests there, and holds
//! them while the account changes hands.
//!
//! The cores (`routes`, `exchange`, `hold`) own no socket and read no clock. Depends on `base` and
//! `control`.

mod answer;
mod error;
mod exchange;
mod health;
mod hold;
mod probe;
mod proxy;
mod routes;
mod server;
mod status;
mod upstream;

pub use error::Error;
pub use exchange::{Applied, Ended, Exchange, Next, Repeat, Verdict};
pub use hold::{HoldLimits, Holds};
pub use proxy::prepare;
pub use routes::{Reign, Route, Routes, Target};
pub use server::{Gateway, GatewaySetup};
pub use status::{
    APPLIED_HEADER, AccountStatus, EPOCH_HEADER, KEY_HEADER, MemberStatus, PASSED_HEADER,
    PRIMARY_HEADER, PROTO_HEADER, Rejoin, STATUS_PATH, Status,
};
pub use upstream::{Body, Resolve, Upstream, empty, url};
