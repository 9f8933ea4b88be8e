//! `firebreak dr quarantine`: what a former primary held and the present history does not.

use super::At;
use super::operator::Operator;
use base::MemberId;
use http::Method;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// What can be done with quarantined commits.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Lists them.
    List(List),
    /// Shows one, with the resources it holds.
    Show(Show),
    /// Writes all of them, with their resources, to a file as NDJSON.
    Export(Export),
}

/// `firebreak dr quarantine list`.
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    at: At,
    /// The account.
    #[arg(long, default_value = "fhir")]
    account: String,
}

/// `firebreak dr quarantine show`.
#[derive(clap::Args)]
pub struct Show {
    #[command(flatten)]
    at: At,
    /// The account.
    #[arg(long, default_value = "fhir")]
    account: String,
    /// The commit, as `list` names it.
    id: String,
}

/// `firebreak dr quarantine export`.
#[derive(clap::Args)]
pub struct Export {
    #[command(flatten)]
    at: At,
    /// The account.
    #[arg(long, default_value = "fhir")]
    account: String,
    /// The file to write; it holds patient data.
    #[arg(long)]
    to: PathBuf,
}

/// Runs a verb.
pub fn run(verb: &Verb) -> anyhow::Result<()> {
    match verb {
        Verb::List(arguments) => list(arguments),
        Verb::Show(arguments) => show(arguments),
        Verb::Export(arguments) => export(arguments),
    }
}

/// Quarantine commits are in the account's log: the primary is asked.
fn primary(operator: &Operator, account: &str) -> anyhow::Result<MemberId> {
    Ok(operator.primary(account)?.0)
}

fn list(arguments: &List) -> anyhow::Result<()> {
    let operator = Operator::new(&arguments.at)?;
    let region = primary(&operator, &arguments.account)?;
    let path = format!("/admin/quarantine/{}", arguments.account);
    let answer = operator.request(region, Method::GET, &path, None)?;
    let mut out = std::io::stdout();
    if arguments.at.json {
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    let commits = answer["commits"].as_array().map_or(&[][..], Vec::as_slice);
    if commits.is_empty() {
        writeln!(out, "nothing is in quarantine")?;
    }
    for commit in commits {
        writeln!(out, "{}", line(commit, |id| operator.name(id)))?;
    }
    Ok(())
}

/// One commit, for people: the region by its name.
fn line(commit: &Value, name: impl Fn(&str) -> String) -> String {
    let text = |key: &str| commit[key].as_str().unwrap_or("");
    let changes = commit["changes"].as_array().map_or(0, Vec::len);
    let plural = if changes == 1 { "" } else { "s" };
    format!("{}  from {}  {changes} change{plural}", text("id"), name(text("region")))
}

fn show(arguments: &Show) -> anyhow::Result<()> {
    let operator = Operator::new(&arguments.at)?;
    let region = primary(&operator, &arguments.account)?;
    let path = format!("/admin/quarantine/{}/{}", arguments.account, arguments.id);
    let mut answer: Value = operator.request(region, Method::GET, &path, None)?;
    let text = if arguments.at.json {
        answer.to_string()
    } else {
        let name = answer["region"].as_str().map(|id| operator.name(id));
        answer["region"] = name.into();
        serde_json::to_string_pretty(&answer)?
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

fn export(arguments: &Export) -> anyhow::Result<()> {
    let operator = Operator::new(&arguments.at)?;
    let region = primary(&operator, &arguments.account)?;
    let path = format!("/admin/quarantine/{}/export", arguments.account);
    let lines = operator.fetch(region, Method::GET, &path, None)?;
    control::write_whole(&arguments.to, &lines)?;
    let count = lines.iter().filter(|byte| **byte == b'\n').count();
    let mut out = std::io::stdout();
    if arguments.at.json {
        let to = &arguments.to;
        writeln!(out, "{}", serde_json::json!({ "commits": count, "file": to }))?;
    } else {
        writeln!(out, "{count} commits written to {}", arguments.to.display())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_names() {
        let commit = serde_json::json!({ "id": "3-7-x", "region": "00ff", "changes": [{}, {}] });
        let name = |id: &str| if id == "00ff" { "east".to_owned() } else { id.to_owned() };
        assert_eq!(line(&commit, name), "3-7-x  from east  2 changes");
    }
}
