//! `firebreak witness`: votes in registers, holds no patient data.

use crate::config::Arguments;
use crate::{member, process};
use control::Kind;

/// Runs a witness until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(config) = arguments.read()? else { return Ok(()) };
    config.expect(Kind::Witness)?;
    process::log_to_stderr(&config.log)?;
    let hands = Box::new(|action| tracing::error!(?action, "a witness has no log"));
    let member = member::start(&config, hands)?;
    tracing::info!(name = %config.name, address = %member.address(), "witness runs");
    process::runtime()?.block_on(process::stopped());
    member.driver.stop();
    Ok(())
}
