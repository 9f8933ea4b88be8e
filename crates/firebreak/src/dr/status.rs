//! `firebreak dr status`.

use super::At;
use super::operator::Operator;
use ::gateway::AccountStatus;
use serde_json::json;
use std::io::Write;

/// Prints what each region says.
pub fn run(at: &At) -> anyhow::Result<()> {
    let operator = Operator::new(at)?;
    let mut out = std::io::stdout();
    if at.json {
        let regions: Vec<_> = operator
            .statuses()
            .map(|(region, status)| {
                json!({
                    "region": region.name.as_str(),
                    "reachable": status.is_some(),
                    "status": status,
                })
            })
            .collect();
        writeln!(out, "{}", json!({ "regions": regions }))?;
        return Ok(());
    }
    for (region, status) in operator.statuses() {
        let Some(status) = status else {
            writeln!(out, "{}: no answer from {}", region.name, region.serve)?;
            continue;
        };
        for told in &status.accounts {
            writeln!(out, "{}: {}", region.name, line(&operator, told))?;
        }
        if status.accounts.is_empty() {
            writeln!(out, "{}: knows no account", region.name)?;
        }
    }
    Ok(())
}

fn line(operator: &Operator, told: &AccountStatus) -> String {
    let gate = if told.open { "open" } else { "closed" };
    let secondary = match &told.secondary {
        Some(id) => format!("{} ({})", operator.name(id), told.secondary_state),
        None => "none".to_owned(),
    };
    let lag = told.lag_ms.map_or_else(String::new, |lag| format!(", lag {lag} ms"));
    let quarantined = match told.quarantined {
        Some(count) if count > 0 => format!(", {count} commits in quarantine"),
        _ => String::new(),
    };
    format!(
        "account {}: {} (gate {gate}), epoch {}, fork {}, primary {}, secondary {secondary}, home {}{lag}{quarantined}; {}",
        told.account,
        told.role,
        told.epoch,
        told.fork,
        operator.name(&told.primary),
        operator.name(&told.home),
        told.sentence,
    )
}
