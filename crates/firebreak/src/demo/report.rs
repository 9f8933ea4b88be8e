//! What the demo measured, as it is written with `--report`; described in `docs/reference/demo.md`.

use serde::Serialize;

/// The whole report. `None` was not measured, as the demo ended before: it is written as `null`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Everything that was promised held.
    pub ok: bool,
    /// Lease timing.
    pub timing: String,
    /// Resources of the Synthea bundles.
    pub resources_loaded: Option<usize>,
    /// From the kill to the first write accepted on the same URL.
    pub rto_ms: Option<u64>,
    /// From the oldest acknowledged write that was cut to the last one acknowledged before.
    pub rpo_ms: Option<u64>,
    /// Writes that a client was told had succeeded.
    pub acked_writes: u64,
    /// Those that the primary does not hold.
    pub lost_writes: Option<u64>,
    /// Those of the lost that are in quarantine with equal bytes.
    pub quarantined_writes: Option<u64>,
    /// Those of the lost that are not.
    pub unaccounted_writes: Option<u64>,
    /// The planned way home.
    pub failback: Option<Failback>,
    /// The old primary's way back.
    pub rejoin: Option<Rejoin>,
    /// Both regions' digests at one position.
    pub digests_equal: Option<bool>,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// What clients noticed of the failback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failback {
    /// The longest that one request took.
    pub pause_ms_max: u64,
    /// Requests without an answer or with a status of 500 and above.
    pub failed_requests: u64,
}

/// What the return took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rejoin {
    /// Bytes sent to the returning region.
    pub bytes: u64,
    /// Compressed bytes of the commits that it was missing.
    pub delta_bytes: u64,
    /// From its start until it was in sync.
    pub seconds: f64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Milliseconds since the demo began.
    pub t_ms: u64,
    /// Where.
    pub region: String,
    /// One sentence.
    pub what: String,
}
