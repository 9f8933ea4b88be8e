//! The power of the checkers: rules are taken out one by one, and each must be noticed, here by
//! seeded runs, or by a directed schedule in the protocol's own tests. Only with the feature
//! `planted`: production binaries hold no such switch.

use crate::run::{each_seed, run_caught};
use crate::{Checker, Flaw, Setup, Violation, setup_of};
use dr::{Bug, Bugs};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Mutex;

/// Where a plant is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finder {
    /// By seeded runs: one of these checkers fires first.
    Runs(&'static [Checker]),
    /// By this test of `dr`, which holds as written and fails without the rule.
    Schedule(&'static str),
}

/// One planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Plant {
    /// What the issue calls it.
    pub name: &'static str,
    /// The rule taken out of every member.
    pub rule: Option<Bug>,
    /// What is wrong around it.
    pub flaw: Flaw,
    /// What must notice.
    pub finder: Finder,
}

const fn rule(name: &'static str, rule: Bug, finder: Finder) -> Plant {
    Plant { name, rule: Some(rule), flaw: Flaw::None, finder }
}
const fn flaw(name: &'static str, flaw: Flaw, checkers: &'static [Checker]) -> Plant {
    Plant { name, rule: None, flaw, finder: Finder::Runs(checkers) }
}

/// Every planted bug.
pub const PLANTS: &[Plant] = &[
    flaw("ack before fsync", Flaw::AckBeforeSync, &[Checker::Kept, Checker::NoStop]),
    flaw("ship before local fsync", Flaw::ShipBeforeSync, &[Checker::DurableFirst]),
    flaw("truncate before export", Flaw::CutBeforeExport, &[Checker::Kept]),
    rule(
        "quorum of one",
        Bug::QuorumOfOne,
        Finder::Runs(&[Checker::OneWriter, Checker::Convergence, Checker::NoStop, Checker::Kept]),
    ),
    rule(
        "acceptor without memory",
        Bug::AcceptorWithoutMemory,
        Finder::Runs(&[Checker::OneWriter, Checker::Convergence, Checker::NoStop]),
    ),
    rule(
        "no read phase",
        Bug::NoReadPhase,
        Finder::Runs(&[Checker::OneWriter, Checker::Convergence, Checker::NoStop]),
    ),
    rule(
        "L1 not durable",
        Bug::L1NotDurable,
        Finder::Schedule("schedule_08_what_is_only_being_written_covers_nobody"),
    ),
    rule(
        "L1 keep listed",
        Bug::L1KeepListed,
        Finder::Schedule("schedule_08_a_healed_region_does_not_block_its_successor"),
    ),
    rule(
        "L2",
        Bug::L2OwnWord,
        Finder::Schedule("schedule_02_an_acceptor_that_missed_a_promotion_covers_nobody_else"),
    ),
    rule("lease from reply", Bug::LeaseFromReply, Finder::Runs(&[Checker::OneWriter])),
    rule(
        "L3",
        Bug::L3NoMargin,
        Finder::Schedule("rule_l3_keeps_a_margin_for_clocks_that_run_apart"),
    ),
    rule(
        "L4",
        Bug::L4ProposersView,
        Finder::Schedule(
            "schedule_01_a_half_accepted_promotion_is_not_completed_under_a_live_lease",
        ),
    ),
    rule(
        "L4 any release",
        Bug::L4AnyRelease,
        Finder::Schedule("schedule_08_a_release_exempts_only_the_value_it_was_signed_for"),
    ),
    rule(
        "L5",
        Bug::L5ForgetGrants,
        Finder::Schedule("schedule_09_an_acceptor_that_restarts_may_have_granted"),
    ),
    rule(
        "L6",
        Bug::L6AnyDifference,
        Finder::Schedule("schedule_08_a_difference_after_a_lost_one_does_not_count"),
    ),
    rule(
        "L7",
        Bug::L7NoNonce,
        Finder::Schedule("schedule_10_a_primary_that_hears_nothing_is_replaced"),
    ),
    rule(
        "P3",
        Bug::P3FreeUnseal,
        Finder::Schedule("schedule_09_a_seal_is_left_only_through_the_register"),
    ),
    rule(
        "S2",
        Bug::S2SignThenGoOn,
        Finder::Schedule("schedule_03_an_aborted_handoff_that_arrives_late_finds_another_epoch"),
    ),
    rule(
        "Q1",
        Bug::Q1WrongDivergence,
        Finder::Schedule("schedule_07_divergence_is_at_the_smallest_later_start"),
    ),
    rule(
        "E2",
        Bug::E2LooseEnd,
        Finder::Schedule("schedule_06_an_epoch_opens_only_at_exactly_its_recorded_start"),
    ),
    rule(
        "continue own epoch after restart",
        Bug::ContinueEpochAfterRestart,
        Finder::Runs(&[Checker::OneWriter, Checker::NoStop]),
    ),
    rule(
        "stale epoch accepted",
        Bug::StaleEpochAccepted,
        Finder::Schedule("rule_e5_what_belongs_to_a_lower_epoch_proves_nothing"),
    ),
    rule("promote while lagging", Bug::PromoteWhileLagging, Finder::Runs(&[Checker::LossBound])),
    rule("M2", Bug::M2RelaxFirst, Finder::Runs(&[Checker::LossBound])),
    rule(
        "R3",
        Bug::R3ForgetProposal,
        Finder::Schedule("schedule_04_a_proposal_of_in_sync_binds_though_its_answer_is_lost"),
    ),
    rule(
        "E4",
        Bug::E4FreshTail,
        Finder::Schedule("schedule_09_an_unknown_tail_is_beyond_the_bound"),
    ),
    rule(
        "M1",
        Bug::M1UnprovenInSync,
        Finder::Schedule(
            "rule_m1_in_sync_is_recorded_only_after_the_opening_commit_was_acknowledged",
        ),
    ),
    rule(
        "P1",
        Bug::P1SealAtOnce,
        Finder::Schedule("rule_p1_a_cut_between_the_regions_seals_nothing"),
    ),
    rule(
        "tuple comparison of positions",
        Bug::TuplePositions,
        Finder::Runs(&[Checker::Convergence]),
    ),
];

impl Plant {
    /// The world of a seed with this bug.
    #[must_use]
    pub fn setup(&self, seed: u64) -> Setup {
        let bugs = self.rule.map_or(Bugs::NONE, |bug| Bugs::NONE.with(bug));
        Setup { flaw: self.flaw, ..setup_of(seed, bugs, false) }
    }
}

/// How a plant was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// By which seed.
    pub seed: u64,
    /// After how many.
    pub seeds: u64,
    /// What was seen first.
    pub violation: Violation,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.violation.text.chars().take(120).collect();
        write!(
            f,
            "{:?} after {} seeds (seed {}): {text}",
            self.violation.checker, self.seeds, self.seed
        )
    }
}

/// Runs seeds with a planted bug until one of its checkers fires; `None` when none does.
#[must_use]
pub fn hunt(plant: &Plant, seeds: u64) -> Option<Found> {
    let found = Mutex::new(None);
    let wanted = |violation: &Violation| match plant.finder {
        Finder::Runs(checkers) => checkers.contains(&violation.checker),
        Finder::Schedule(_) => true,
    };
    each_seed(0..seeds, |seed| {
        let report = run_caught(plant.setup(seed));
        let Some(violation) = report.violations.into_iter().find(wanted) else {
            return ControlFlow::Continue(());
        };
        let mut found = found.lock().expect("no holder panics");
        found.get_or_insert(Found { seed, seeds: seed + 1, violation });
        ControlFlow::Break(())
    });
    found.into_inner().expect("no holder panics")
}
