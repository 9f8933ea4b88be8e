//! Random runs: each seed is a world, a plan of faults, then healing and the checkers' verdict.

use crate::fault::{self, FaultKind};
use crate::scene::{Counts, Happening};
use crate::{Chance, Checker, Moment, Outcome, Setup, TRANSITIONS, Violation, World};
use base::{Hash, Span};
use dr::{Bugs, Timing};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// When the faults of a run are over.
const FAULTS_UNTIL: Moment = Moment::from_secs(52);
/// When clients stop.
const CLIENTS_UNTIL: Moment = Moment::from_secs(60);
/// How long convergence may take.
const CONVERGENCE: Span = Span::from_secs(60);

/// What came of one seed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// What it came to.
    pub outcome: Outcome,
    /// What happened.
    pub counts: Counts,
    /// How many facts each checker judged.
    pub judged: BTreeMap<Checker, u64>,
    /// Simulated time.
    pub simulated: Span,
    /// The hash of the readable log, when it was on.
    pub trace: Hash,
}

/// The world of a random run.
#[must_use]
pub fn setup_of(seed: u64, bugs: Bugs, traced: bool) -> Setup {
    let mut chance = Chance::of_seed(!seed);
    let timing = if chance.happens(150_000) { Timing::Standard } else { Timing::Fast };
    let max_lag = Span::from_ms(chance.pick(&[1000, 2000, 5000]));
    Setup { timing, max_lag, bugs, traced, ..Setup::of_seed(seed) }
}

/// Runs one seed to its verdict. `read` gets the readable log, if it is on.
pub fn run_seed(setup: Setup, read: impl FnOnce(&str)) -> Report {
    let mut world = World::new(setup);
    world.found_account();
    world.open_doors();
    let from = world.scene.now();
    for (at, planned) in fault::plan(&mut world.scene.chance, from, FAULTS_UNTIL) {
        world.scene.agenda.at(at, Happening::Planned(planned));
    }
    world.run_until(FAULTS_UNTIL, |_| false);
    world.heal();
    world.run_until(CLIENTS_UNTIL, |_| false);
    let outcome = world.converge_and_judge(CONVERGENCE);
    read(world.scene.trace.text());
    Report {
        seed: setup.seed,
        violations: world.scene.ledger.violations.clone(),
        outcome,
        counts: world.scene.counts.clone(),
        judged: world.scene.ledger.judged.clone(),
        simulated: world.scene.now().since(Moment::START),
        trace: world.scene.trace.hash(),
    }
}

/// What came of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// How many seeds.
    pub seeds: u64,
    /// The first seeds that failed, with what they broke.
    pub failures: Vec<(u64, Vec<Violation>)>,
    /// Simulated time, in seconds.
    pub simulated_s: u64,
    /// The shortest run, in seconds.
    pub shortest_s: u64,
    /// Requests acknowledged.
    pub acknowledged: u64,
    /// Of these, not in the present history.
    pub lost: u64,
    /// Commits in quarantine.
    pub quarantined: u64,
    /// The longest loss.
    pub loss: Span,
    /// Faults by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Transitions of the protocol.
    pub transitions: BTreeMap<&'static str, u64>,
    /// Facts by checker.
    pub judged: BTreeMap<Checker, u64>,
}

impl Batch {
    /// Adds one seed's report.
    pub fn add(&mut self, report: &Report) {
        let simulated_s = report.simulated.us() / 1_000_000;
        self.shortest_s =
            if self.seeds == 0 { simulated_s } else { self.shortest_s.min(simulated_s) };
        self.seeds += 1;
        self.simulated_s += simulated_s;
        if !report.violations.is_empty() {
            self.failures.push((report.seed, report.violations.clone()));
            self.failures.sort_by_key(|(seed, _)| *seed);
        }
        self.acknowledged += report.outcome.acknowledged;
        self.lost += report.outcome.lost;
        self.quarantined += report.outcome.quarantined;
        self.loss = self.loss.max(report.outcome.loss);
        add(&mut self.faults, &report.counts.faults);
        add(&mut self.transitions, &report.counts.transitions);
        add(&mut self.judged, &report.judged);
    }

    /// What was never exercised: fault kinds, transitions, checkers.
    #[must_use]
    pub fn untouched(&self) -> Vec<String> {
        let faults = FaultKind::ALL.iter().filter(|kind| !self.faults.contains_key(kind));
        let transitions = TRANSITIONS.iter().filter(|name| !self.transitions.contains_key(*name));
        let checkers = Checker::ALL.iter().filter(|checker| {
            // It judges by what does not happen.
            **checker != Checker::NoStop && !self.judged.contains_key(checker)
        });
        faults
            .map(|kind| format!("fault {kind:?}"))
            .chain(transitions.map(|name| format!("transition {name}")))
            .chain(checkers.map(|checker| format!("checker {checker:?}")))
            .collect()
    }
}

fn add<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *to.entry(*key).or_default() += count;
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds = self.seeds.max(1);
        let faults: u64 = self.faults.values().sum();
        writeln!(
            f,
            "{} seeds, {:.1} simulated hours (shortest {} s), {} acknowledged ({} each), {} faults ({:.1} each)",
            self.seeds,
            self.simulated_s as f64 / 3600.0,
            self.shortest_s,
            self.acknowledged,
            self.acknowledged / seeds,
            faults,
            faults as f64 / seeds as f64,
        )?;
        writeln!(
            f,
            "{} lost, all among {} commits in quarantine; longest loss {}",
            self.lost, self.quarantined, self.loss
        )?;
        writeln!(f, "faults: {:?}", self.faults)?;
        writeln!(f, "transitions: {:?}", self.transitions)?;
        write!(f, "facts judged: {:?}", self.judged)
    }
}

/// Runs one seed; an assertion of the code under test is a broken promise like any other.
#[must_use]
pub fn run_caught(setup: Setup) -> Report {
    std::panic::catch_unwind(|| run_seed(setup, |_| {})).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        let text = format!("an assertion failed: {}", text.unwrap_or_default());
        Report {
            seed: setup.seed,
            violations: vec![Violation { checker: Checker::NoStop, text }],
            outcome: Outcome::default(),
            counts: Counts::default(),
            judged: BTreeMap::new(),
            simulated: Span::ZERO,
            trace: Hash::ZERO,
        }
    })
}

/// Does `work` with each seed, on all cores, until it says that it is enough. What other cores
/// have begun by then is finished.
pub(crate) fn each_seed(seeds: Range<u64>, work: impl Fn(u64) -> ControlFlow<()> + Sync) {
    let next = AtomicU64::new(seeds.start);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if work(seed).is_break() {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// Runs seeds on all cores. Stops early once `failures_max` seeds have failed.
#[must_use]
pub fn run_batch(from: u64, seeds: u64, failures_max: usize, bugs: Bugs) -> Batch {
    let batch = Mutex::new(Batch::default());
    each_seed(from..from + seeds, |seed| {
        let report = run_caught(setup_of(seed, bugs, false));
        let mut batch = batch.lock().expect("no holder panics");
        batch.add(&report);
        if batch.failures.len() >= failures_max {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    batch.into_inner().expect("no holder panics")
}
