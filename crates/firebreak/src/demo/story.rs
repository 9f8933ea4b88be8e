//! The story, step by step.

use super::members::{Diary, Members, Ports, Process, TIMING};
use super::report::{Rejoin, Report};
use super::talk::Talk;
use super::{Arguments, data, ending, measure};
use anyhow::{Context, bail};
use base::Epoch;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use workload::{Clients, ClientsConfig, Record};

/// How long any one step may take.
const STEP: Duration = Duration::from_secs(60);
/// The least number of writes in flight at the kill.
const IN_FLIGHT: usize = 8;
/// Load before and after each step, so that there is something to see.
const BREATH: Duration = Duration::from_secs(2);

/// Everything that runs.
pub struct Story<'a> {
    pub arguments: &'a Arguments,
    pub runtime: Runtime,
    pub talk: Talk,
    pub members: Members,
    pub east: Option<Process>,
    pub others: Vec<(&'static str, Process)>,
    pub link: Option<Process>,
    diaries: Vec<Diary>,
    interrupted: Arc<AtomicBool>,
    pub report: Report,
    /// The epoch that the kill ended.
    pub old_epoch: Epoch,
    /// When, on the clients' clock.
    pub killed_ms: u64,
    /// The failback, on the clients' clock.
    pub failback_ms: (u64, u64),
}

/// Tells it from beginning to end.
pub fn tell(arguments: &Arguments) -> anyhow::Result<()> {
    let ports = Ports::new(arguments.port)?;
    ports.check_free()?;
    ending::check_files(arguments)?;
    let folder = tempfile::Builder::new().prefix("firebreak-demo-").tempdir()?;
    let members = Members::new(folder.path().to_owned(), ports, arguments.link_delay_ms);
    let runtime = Runtime::new()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    watch_for_interruption(&runtime, &interrupted);
    let diaries = ["east", "west"].map(|name| Diary::new(&members, name)).into();
    let mut story = Story {
        arguments,
        runtime,
        talk: Talk::new(),
        members,
        east: None,
        others: Vec::new(),
        link: None,
        diaries,
        interrupted,
        report: Report { timing: TIMING.to_owned(), ..Report::default() },
        old_epoch: Epoch::ZERO,
        killed_ms: 0,
        failback_ms: (0, 0),
    };
    let mut records = Vec::new();
    let held = play(&mut story, &mut records);
    if held.is_err() {
        ending::write_broken(&mut story, &records);
    } else if arguments.keep {
        let kept = folder.keep();
        ending::leave_running(story, &kept);
    }
    held
}

/// All of it; fails at the first step that does, or when a promise did not hold. Either way
/// `records` holds what the clients wrote down.
fn play(story: &mut Story<'_>, records: &mut Vec<Record>) -> anyhow::Result<()> {
    story.start()?;
    let clients = story.clients()?;
    if let Err(error) = lose_and_return(story, &clients) {
        // The service may be gone: what is in flight is not waited for.
        *records = clients.records();
        return Err(error);
    }
    *records = story.runtime.block_on(clients.stop());
    ending::account(story, records)
}

/// All that happens while clients write and read.
fn lose_and_return(story: &mut Story<'_>, clients: &Clients) -> anyhow::Result<()> {
    story.agree()?;
    story.lose_east(clients)?;
    story.bring_east_back()?;
    story.fail_back(clients)
}

fn watch_for_interruption(runtime: &Runtime, interrupted: &Arc<AtomicBool>) {
    let flag = Arc::clone(interrupted);
    runtime.spawn(async move {
        crate::process::stopped().await;
        flag.store(true, Ordering::Relaxed);
    });
}

/// Ready when the flag is up.
async fn raised(flag: &AtomicBool) {
    while !flag.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Story<'_> {
    /// Starts the four processes and loads real patients.
    fn start(&mut self) -> anyhow::Result<()> {
        self.talk.event("demo", "starting east, west, witness and gateway");
        self.east = Some(self.members.init()?);
        self.link = self.members.start_link()?;
        let [west, witness, gateway] = self.members.join_others()?;
        self.others = vec![("west", west), ("witness", witness), ("gateway", gateway)];
        self.wait("the gateway to find the primary", |story| story.gateway_answers())?;
        self.talk.event("demo", "loading Synthea's patients through the gateway");
        let (url, talk) = (self.members.url(), self.talk.clone());
        let flag = Arc::clone(&self.interrupted);
        let loaded = self.runtime.block_on(async {
            tokio::select! {
                loaded = data::load(&url, &talk) => loaded,
                () = raised(&flag) => bail!("interrupted"),
            }
        })?;
        self.report.resources_loaded = Some(loaded);
        self.talk.event("demo", &format!("loaded {loaded} resources"));
        Ok(())
    }

    fn clients(&self) -> anyhow::Result<Clients> {
        let config = ClientsConfig {
            url: self.members.url(),
            others: Vec::new(),
            clients: usize::from(self.arguments.clients),
            pause: Duration::from_millis(5),
            timeout: Duration::from_secs(10),
            seed: u64::from(std::process::id()),
        };
        let _inside = self.runtime.enter();
        Ok(Clients::start(&config)?)
    }

    /// 1. West is in sync, and both regions hold the same at the same position.
    fn agree(&mut self) -> anyhow::Result<()> {
        let clients = self.arguments.clients;
        self.talk.event("demo", &format!("{clients} clients write and read from now on"));
        self.wait("west to be in sync", |story| story.secondary_state("east", "in-sync"))?;
        self.talk.event("west", "in sync");
        self.wait("equal digests", Story::digests_agree)?;
        self.talk.event("demo", "both digests agree at the same position");
        Ok(())
    }

    /// 2 and 3. Kills east in the middle of writes, and sees west take over.
    fn lose_east(&mut self, clients: &Clients) -> anyhow::Result<()> {
        let random = u64::from(std::process::id()) * 7919 % 3000;
        let after = Duration::from_millis(self.arguments.kill_after_ms.unwrap_or(random));
        let from = Instant::now();
        self.wait("the moment of the kill", |_| Ok(from.elapsed() >= after))?;
        let deadline = Instant::now() + STEP;
        while clients.tally().writes_in_flight < IN_FLIGHT {
            if Instant::now() > deadline {
                bail!("never {IN_FLIGHT} writes in flight at one time");
            }
            std::thread::yield_now();
        }
        let in_flight = clients.tally().writes_in_flight;
        if let Some(mut east) = self.east.take() {
            east.kill();
        }
        if let Some(mut link) = self.link.take() {
            link.kill();
            self.link = self.members.start_link()?;
        }
        self.killed_ms = millis(clients.start_time().elapsed());
        let killed = format!("killed with SIGKILL, {in_flight} writes in flight");
        self.talk.event("east", &killed);
        self.old_epoch = measure::last_epoch(&clients.records());
        let old = self.old_epoch;
        let accepted =
            |_: &mut Story<'_>| Ok(measure::first_write_after(&clients.records(), old).is_some());
        self.wait("the first write after the failover", accepted)?;
        let first = measure::first_write_after(&clients.records(), old).context("just seen")?;
        let rto = first.saturating_sub(self.killed_ms);
        self.report.rto_ms = Some(rto);
        self.talk.event("demo", &format!("first write accepted on the same URL after {rto} ms"));
        self.breathe()
    }

    /// 4. East comes back, keeps its tail in quarantine, and follows.
    fn bring_east_back(&mut self) -> anyhow::Result<()> {
        self.talk.event("east", "starting again");
        let start = Instant::now();
        self.east = Some(self.members.start("east", "region")?);
        self.wait("east to be in sync", |story| story.secondary_state("west", "in-sync"))?;
        let seconds = start.elapsed().as_secs_f64();
        self.talk.event("east", "in sync, as the secondary");
        self.wait("compute routing to return home", Story::compute_is_home)?;
        self.talk.event("demo", "compute routing is home again");
        let told = |story: &mut Story<'_>| story.rejoin_is_told(seconds);
        self.wait("west to tell what the return took", told)?;
        self.breathe()
    }

    /// What the primary counted of the return, which took `seconds`.
    fn rejoin_is_told(&mut self, seconds: f64) -> anyhow::Result<bool> {
        let Some(told) = self.told_by("west")? else { return Ok(false) };
        let number = |key: &str| told["rejoin"][key].as_u64();
        let (Some(bytes), Some(delta_bytes)) = (number("bytes"), number("delta_bytes")) else {
            return Ok(false);
        };
        self.report.rejoin = Some(Rejoin { bytes, delta_bytes, seconds });
        Ok(true)
    }

    /// 5. Home again, on command, under load.
    fn fail_back(&mut self, clients: &Clients) -> anyhow::Result<()> {
        self.talk.event("demo", "failing back on command");
        let from = millis(clients.start_time().elapsed());
        let epoch = self.epoch_of("west")?.to_string();
        let operator = self.members.operator();
        let command =
            ["dr", "failback", "--operator", &operator, "--epoch", &epoch, "--yes", "--json"];
        self.members.insist(&command)?;
        let old = Epoch::new(epoch.parse()?).max(self.old_epoch);
        self.wait("writes at home", |_| {
            Ok(measure::first_write_after(&clients.records(), old).is_some())
        })?;
        self.talk.event("east", "primary again");
        self.breathe()?;
        self.failback_ms = (from, millis(clients.start_time().elapsed()));
        Ok(())
    }

    fn gateway_answers(&mut self) -> anyhow::Result<bool> {
        let url = self.members.url();
        let path = format!("/{}/metadata", url.rsplit('/').next().unwrap_or_default());
        let answer = self.runtime.block_on(async {
            let mut connection = workload::Connection::new(&url, Duration::from_secs(5))?;
            connection.send(&workload::Request::get(path)).await
        });
        Ok(answer.is_ok_and(|answer| answer.status == 200))
    }

    fn told_by(&self, region: &str) -> anyhow::Result<Option<Value>> {
        let status = self.members.status()?;
        Ok(status.into_iter().find(|(name, _)| name == region).map(|(_, told)| told))
    }

    fn epoch_of(&self, region: &str) -> anyhow::Result<u64> {
        let told = self.told_by(region)?.context("the region is silent")?;
        told["epoch"].as_u64().context("status names no epoch")
    }

    fn secondary_state(&self, primary: &str, state: &str) -> anyhow::Result<bool> {
        let told = self.told_by(primary)?;
        Ok(told.is_some_and(|told| {
            told["role"] == "primary" && told["open"] == true && told["secondary_state"] == state
        }))
    }

    fn compute_is_home(&mut self) -> anyhow::Result<bool> {
        let told = self.told_by("west")?;
        Ok(told.is_some_and(|told| told["compute"].is_string() && told["compute"] == told["home"]))
    }

    /// Both regions tell the same digest at the same position.
    pub fn digests_agree(&mut self) -> anyhow::Result<bool> {
        let status = self.members.status()?;
        let [(_, one), (_, other)] = status.as_slice() else { return Ok(false) };
        let told = |region: &Value| {
            Some((region["digest_at"].as_str()?.to_owned(), region["digest"].as_str()?.to_owned()))
        };
        Ok(told(one).is_some() && told(one) == told(other))
    }

    /// Whether somebody wants it to end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn breathe(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + BREATH;
        self.wait("a moment", |_| Ok(Instant::now() >= until))
    }

    /// Waits until something holds, following the diaries all the while.
    pub fn wait(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + STEP;
        loop {
            let mut diaries = std::mem::take(&mut self.diaries);
            let followed = diaries.iter_mut().try_for_each(|diary| diary.follow(&self.talk));
            self.diaries = diaries;
            followed?;
            if self.is_interrupted() {
                bail!("interrupted");
            }
            for (name, process) in &mut self.others {
                process.check(name)?;
            }
            if holds(self)? {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("gave up after {} s of waiting for {what}", STEP.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
