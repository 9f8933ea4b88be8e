//! Accounts for every write, and says whether what was promised held.

use super::Arguments;
use super::measure;
use super::story::Story;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::path::Path;
use workload::{Accounting, Record};

/// Promises of the demo.
const RTO_MS: u64 = 5_000;
const RPO_MS: u64 = 5_000;
const PAUSE_MS: u64 = 1_000;
const REJOIN_ALLOWANCE_BYTES: u64 = 1 << 20;

/// Counts, writes the files that were asked for, prints promise against measurement.
pub fn account(story: &mut Story<'_>, records: &[Record]) -> anyhow::Result<()> {
    let agreed = story.wait("equal digests at the end", Story::digests_agree);
    if story.is_interrupted() {
        return agreed;
    }
    story.report.digests_equal = Some(agreed.is_ok());
    let quarantine = quarantine(story)?;
    let url = story.members.url();
    let counted = story.runtime.block_on(workload::account_for(records, &url, &quarantine))?;
    fill(story, records, &counted);
    let promises = promises(story);
    story.report.ok = promises.iter().all(|promise| promise.held);
    story.report.events = story.talk.events();
    write_files(story, records)?;
    story.talk.line("");
    for promise in &promises {
        let mark = if promise.held { "held" } else { "BROKEN" };
        let (what, promised, measured) = (&promise.what, &promise.promised, &promise.measured);
        story.talk.line(&format!("{what:36} promised {promised:22} measured {measured:22} {mark}"));
    }
    if !story.report.ok {
        bail!("not all that is promised held");
    }
    Ok(())
}

fn fill(story: &mut Story<'_>, records: &[Record], counted: &Accounting) {
    let report = &mut story.report;
    report.acked_writes = counted.acknowledged;
    report.lost_writes = Some(counted.lost.len() as u64);
    report.quarantined_writes = Some(counted.quarantined);
    report.unaccounted_writes = Some(counted.unaccounted);
    report.rpo_ms = Some(measure::recovery_point_ms(records, &counted.lost, story.old_epoch));
    report.failback = Some(measure::noticed(records, story.failback_ms.0, story.failback_ms.1));
}

struct Promise {
    what: &'static str,
    promised: String,
    measured: String,
    held: bool,
}

fn promises(story: &Story<'_>) -> Vec<Promise> {
    let report = &story.report;
    let said = |measured: Option<u64>| {
        measured.map_or("nothing".to_owned(), |measured| measured.to_string())
    };
    let most = |what, limit: u64, measured: Option<u64>, unit: &str| Promise {
        what,
        promised: format!("<= {limit} {unit}"),
        measured: format!("{} {unit}", said(measured)),
        held: measured.is_some_and(|measured| measured <= limit),
    };
    let (lost, quarantined) = (report.lost_writes, report.quarantined_writes);
    let delta = report.rejoin.map_or(0, |rejoin| rejoin.delta_bytes);
    let rejoin = delta * 6 / 5 + REJOIN_ALLOWANCE_BYTES;
    let failback = report.failback;
    let (pause, failed) =
        (failback.map(|told| told.pause_ms_max), failback.map(|told| told.failed_requests));
    vec![
        most("recovery time", RTO_MS, report.rto_ms, "ms"),
        most("recovery point", RPO_MS, report.rpo_ms, "ms"),
        most("acknowledged and unaccounted for", 0, report.unaccounted_writes, "writes"),
        Promise {
            what: "lost writes in quarantine",
            promised: format!("{} of {0}", said(lost)),
            measured: format!("{} of {}", said(quarantined), said(lost)),
            held: lost.is_some() && quarantined == lost,
        },
        most("bytes of the return", rejoin, report.rejoin.map(|rejoin| rejoin.bytes), "bytes"),
        most("longest pause of the failback", PAUSE_MS, pause, "ms"),
        most("failed requests in the failback", 0, failed, "requests"),
        Promise {
            what: "digests of both regions",
            promised: "equal".to_owned(),
            measured: if report.digests_equal == Some(true) { "equal" } else { "different" }
                .to_owned(),
            held: report.digests_equal == Some(true),
        },
    ]
}

/// SHA-256 of each quarantined body, by id and version.
fn quarantine(story: &Story<'_>) -> anyhow::Result<BTreeMap<(String, String), Option<String>>> {
    let file = story.members.folder().join("quarantine.ndjson");
    let (operator, name) = (story.members.operator(), file.display().to_string());
    story.members.insist(&[
        "dr",
        "quarantine",
        "export",
        "--operator",
        &operator,
        "--to",
        &name,
        "--json",
    ])?;
    let mut held = BTreeMap::new();
    for line in std::fs::read_to_string(&file)?.lines() {
        let commit: serde_json::Value = serde_json::from_str(line)?;
        let changes = commit["changes"].as_array().context("a commit without changes")?;
        for change in changes {
            let text = |key: &str| change[key].as_str().map(str::to_owned);
            let (id, version) =
                (text("id").context("no id")?, text("version").context("no version")?);
            held.insert((id, version), text("body_sha256"));
        }
    }
    Ok(held)
}

/// Makes the files that were asked for, before anything is started.
pub fn check_files(arguments: &Arguments) -> anyhow::Result<()> {
    let files = [&arguments.report, &arguments.history, &arguments.quarantine];
    for path in files.into_iter().flatten() {
        std::fs::File::create(path).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// What is known of a demo that did not hold, or not reach its end: a report with what was
/// measured until then, and every request and answer that clients wrote down.
pub fn write_broken(story: &mut Story<'_>, records: &[Record]) {
    story.report.ok = false;
    story.report.acked_writes = workload::acknowledged(records).len() as u64;
    story.report.events = story.talk.events();
    for (what, written) in
        [("report", write_report(story)), ("history", write_history(story, records))]
    {
        if let Err(error) = written {
            story.talk.line(&format!("the {what} is not written: {error:#}"));
        }
    }
}

fn write_report(story: &Story<'_>) -> anyhow::Result<()> {
    let Some(path) = &story.arguments.report else { return Ok(()) };
    let text = serde_json::to_string_pretty(&story.report)?;
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

fn write_history(story: &Story<'_>, records: &[Record]) -> anyhow::Result<()> {
    let Some(path) = &story.arguments.history else { return Ok(()) };
    let file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
    workload::write_records(records, &mut std::io::BufWriter::new(file))?;
    Ok(())
}

fn write_files(story: &Story<'_>, records: &[Record]) -> anyhow::Result<()> {
    write_report(story)?;
    write_history(story, records)?;
    if let Some(path) = &story.arguments.quarantine {
        std::fs::copy(story.members.folder().join("quarantine.ndjson"), path)
            .with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Prints where everything is, and lets it run.
pub fn leave_running(mut story: Story<'_>, folder: &Path) {
    story.talk.line("");
    story.talk.line(&format!("left running: {}", story.members.url()));
    story.talk.line(&format!("folder: {}", folder.display()));
    story
        .talk
        .line(&format!("status: firebreak dr status --operator {}", story.members.operator()));
    story.talk.line(&format!("stop: pkill --full {}", folder.display()));
    if let Some(east) = story.east.take() {
        east.keep();
    }
    if let Some(link) = story.link.take() {
        link.keep();
    }
    for (_, process) in story.others.drain(..) {
        process.keep();
    }
}
