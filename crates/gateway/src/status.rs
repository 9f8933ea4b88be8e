//! What a member tells of itself and of the accounts it knows: `GET /peer/status` over mutual TLS,
//! for gateways and operators. Never a permission: a region's own gate is.

use serde::{Deserialize, Serialize};

/// The path it is told at.
pub const STATUS_PATH: &str = "/peer/status";
/// A region names the epoch it knows with a refusal (421).
pub const EPOCH_HEADER: &str = "x-firebreak-epoch";
/// A region names the primary (32 hexadecimal digits) with a refusal (421).
pub const PRIMARY_HEADER: &str = "x-firebreak-primary";
/// `no`: the request certainly changed nothing. `unknown`: it may have.
pub const APPLIED_HEADER: &str = "x-firebreak-applied";
/// On a request that a region passed on: the name of that region.
pub const PASSED_HEADER: &str = "x-firebreak-passed";
/// How the client reached a gateway, `http` or `https`: for links. Only gateways and regions set it.
pub const PROTO_HEADER: &str = "x-forwarded-proto";
/// Makes a retry of an unsafe request do nothing twice.
pub const KEY_HEADER: &str = "idempotency-key";

/// One member's word. Ids are 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its minted id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its process lifetime.
    pub boot: String,
    /// Everyone it knows.
    pub members: Vec<MemberStatus>,
    /// Every account it knows, by name.
    pub accounts: Vec<AccountStatus>,
}

/// One of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its minted id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Where members reach it.
    pub peer: String,
    /// Where gateways and operators reach it.
    pub serve: String,
}

/// One account, as one member knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its name.
    pub account: String,
    /// Cluster generation: leads every comparison of epochs.
    pub generation: u32,
    /// Its epoch.
    pub epoch: u64,
    /// Breaks in its history.
    pub fork: u32,
    /// What the telling member is to it: `primary`, `secondary`, …
    pub role: String,
    /// Whether the telling member's gate is open.
    pub open: bool,
    /// Id of its home region.
    pub home: String,
    /// Id of its primary.
    pub primary: String,
    /// Id of its secondary.
    pub secondary: Option<String>,
    /// How the secondary stands: `in-sync`, `lagging`, `seeding`, `diverged`, `none`.
    pub secondary_state: String,
    /// When a write is acknowledged: `async`, `sync-strict`, `sync-degrade`.
    pub mode: String,
    /// Id of the region whose compute should serve clients.
    pub compute: Option<String>,
    /// End of the telling member's log, `EPOCH.SEQ.HASH`.
    pub position: Option<String>,
    /// What is applied and visible there.
    pub applied: Option<String>,
    /// A position that both regions pass, and the digest is told at.
    pub digest_at: Option<String>,
    /// Digest there.
    pub digest: Option<String>,
    /// At the primary: what the secondary's latest return took.
    pub rejoin: Option<Rejoin>,
    /// Age of the oldest commit not known durable in the secondary, in milliseconds.
    pub lag_ms: Option<u64>,
    /// Commits in quarantine.
    pub quarantined: Option<u64>,
    /// The diary's latest sentence.
    pub sentence: String,
}

/// What it took to bring a secondary up to the primary's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejoin {
    /// Bytes sent, everything included.
    pub bytes: u64,
    /// Bytes of the missing commits, compressed as they are kept.
    pub delta_bytes: u64,
}
