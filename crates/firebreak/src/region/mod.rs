//! `firebreak region`: the FHIR service, the account's log, replication, and the protocol.

use crate::config::Arguments;

/// Runs a region until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let _ = arguments;
    anyhow::bail!("a region does not run yet")
}
