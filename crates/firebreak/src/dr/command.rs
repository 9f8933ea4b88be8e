//! `firebreak dr switchover` and `failback`: print the plan; carry it out when told so.

use super::At;
use super::operator::Operator;
use crate::exit::{Incomplete, Refused};
use ::gateway::AccountStatus;
use base::MemberName;
use http::Method;
use serde_json::{Value, json};
use std::io::Write;

/// What a command that changes things needs to be told.
#[derive(clap::Args)]
pub struct Sure {
    /// The account.
    #[arg(long, default_value = "fhir")]
    account: String,
    /// The epoch it replaces, as `dr status` shows it.
    #[arg(long)]
    epoch: Option<u64>,
    /// Carry the plan out; needs --epoch.
    #[arg(long, requires = "epoch", conflicts_with = "dry_run")]
    yes: bool,
    /// Print the plan, and end.
    #[arg(long)]
    dry_run: bool,
}

/// `firebreak dr switchover`.
#[derive(clap::Args)]
pub struct Switchover {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    sure: Sure,
    /// The region to hand the account to.
    #[arg(long)]
    to: MemberName,
}

/// `firebreak dr failback`.
#[derive(clap::Args)]
pub struct Failback {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    sure: Sure,
}

/// Hands an account over.
pub fn switchover(arguments: &Switchover) -> anyhow::Result<()> {
    let operator = Operator::new(&arguments.at)?;
    let to = arguments.to.as_str();
    command(&operator, &arguments.at, &arguments.sure, "switch over", Some(to))
}

/// Hands an account back to its home.
pub fn failback(arguments: &Failback) -> anyhow::Result<()> {
    let operator = Operator::new(&arguments.at)?;
    command(&operator, &arguments.at, &arguments.sure, "fail back", None)
}

fn command(
    operator: &Operator,
    at: &At,
    sure: &Sure,
    what: &str,
    to: Option<&str>,
) -> anyhow::Result<()> {
    let (region, told) = operator.primary(&sure.account)?;
    let home = operator.name(&told.home);
    let to = to.unwrap_or(&home);
    if operator.name(&told.primary) == to {
        return Err(Refused(format!("{to} is the primary already")).into());
    }
    refuse_hopeless(operator, told, to)?;
    let plan = plan(operator, told, what, to);
    let mut out = std::io::stdout();
    if !sure.yes {
        let epoch = told.epoch;
        if at.json {
            writeln!(out, "{}", json!({ "plan": plan, "epoch": epoch, "done": false }))?;
        } else {
            writeln!(out, "{plan}")?;
        }
        if sure.dry_run {
            return Ok(());
        }
        let message = format!("nothing was changed: to carry this out, add --yes --epoch {epoch}");
        return Err(Incomplete(message).into());
    }
    let asked = json!({ "account": sure.account, "to": to, "epoch": sure.epoch });
    if !at.json {
        writeln!(out, "{plan}")?;
    }
    let path = if what == "fail back" { "/admin/dr/failback" } else { "/admin/dr/switchover" };
    let answer = operator.request(region, Method::POST, path, Some(&asked))?;
    let open = operator.opens(&sure.account, told.epoch);
    if at.json {
        let done: &Value = &answer["outcome"];
        let said = json!({ "plan": plan, "done": true, "outcome": done, "open": open });
        writeln!(out, "{said}")?;
    } else {
        writeln!(out, "{}", answer["outcome"].as_str().unwrap_or("done"))?;
    }
    if open {
        return Ok(());
    }
    let message = format!("{to} does not answer clients yet: look at `firebreak dr status`");
    Err(Refused(message).into())
}

/// A plan that the region would refuse is not printed.
fn refuse_hopeless(operator: &Operator, told: &AccountStatus, to: &str) -> anyhow::Result<()> {
    let secondary = told.secondary.as_ref().map(|id| operator.name(id));
    let account = &told.account;
    let reason = match secondary {
        None => format!("account {account} has no secondary to hand over to"),
        Some(secondary) if secondary != to => {
            format!("{to} is not the secondary of account {account}: {secondary} is")
        }
        Some(_) if told.secondary_state != "in-sync" => {
            let state = &told.secondary_state;
            format!("the secondary {to} is {state}, and an account is handed over only in-sync")
        }
        Some(_) => return Ok(()),
    };
    Err(Refused(reason).into())
}

fn plan(operator: &Operator, told: &AccountStatus, what: &str, to: &str) -> String {
    format!(
        "{what} account {} from {} to {to}: replaces epoch {}; the secondary is {}; \
         drain, sign, hand over, open",
        told.account,
        operator.name(&told.primary),
        told.epoch,
        told.secondary_state,
    )
}
