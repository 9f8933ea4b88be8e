//! A model checker drives the real [`dr::Acceptor`], [`dr::Proposer`] and [`dr::Leaseholder`]
//! through all that may happen to them within bounds: three acceptors, two regions, one account.
//!
//! Requests of the register stay on their way for ever, so they come late, twice, in any order or
//! never. Any answer may be lost. Acceptors and regions restart; what was not durable is gone. The
//! clock is one for all and jumps by exactly the time after which a grant is over. Where the model
//! is coarser than that, it says so, and a smaller search without it stands beside:
//!
//! - an answer comes at once or never ([`Delays::Requests`]; see there why that is enough), and then
//!   a refusal for a higher ballot never: a region may begin anew, above every ballot, at any time;
//! - the exchange that gives a nonce (L7) takes no time;
//! - acceptors are not regions, so that the three are alike: those that nothing has happened to yet
//!   are taken in order;
//! - a region's new process has heard of the newest value that the old one knew, but acts by none
//!   that it did not see chosen itself (L2).

mod first;
mod history;
mod pool;
mod seat;
mod space;
mod tables;
mod turn;
mod voter;

use dr::{Bug, Bugs};
use space::{Bounds, Delays, Space};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::time::{Duration, Instant};

/// Two ballots and one tick: each region can get a lease, and lose it.
const TWO_AND_ONE: Bounds = Bounds {
    ballots: 2,
    ticks: 1,
    renewals: 2,
    acceptor_restarts: 0,
    region_restarts: 0,
    slow: false,
    grants_lost: false,
    delays: Delays::Requests,
    bugs: Bugs::NONE,
};
/// The register without leases, with restarts of both kinds.
const REGISTER: Bounds =
    Bounds { ticks: 0, renewals: 0, acceptor_restarts: 1, region_restarts: 1, ..TWO_AND_ONE };

#[expect(clippy::disallowed_methods, reason = "a test's stopwatch; no step sees it")]
fn stopwatch() -> Instant {
    Instant::now()
}

/// Searches all, or as deep as the time allows.
#[track_caller]
#[expect(clippy::print_stdout, reason = "the figures are the point")]
fn clean(what: &str, bounds: Bounds, limit: Option<Duration>) {
    let start = stopwatch();
    let checker = Space::new(bounds, limit.map(|limit| start + limit)).checker();
    let checker = checker.spawn_bfs().join();
    let model = checker.model();
    let stopped = model.tables().stopped_at.take();
    model.tables().until = None;
    println!(
        "{what}: {} states, {} different, depth {}, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        // Its own depths begin with one. What was left when the time was over is not searched.
        stopped.map_or(checker.max_depth() - 1, usize::from),
        start.elapsed().as_secs_f64(),
    );
    let shown = checker.discoveries();
    for property in model.properties() {
        let found = shown.get(property.name).map(|path| path.clone().into_actions());
        match property.expectation {
            Expectation::Always => {
                let steps: Vec<String> =
                    found.iter().flatten().map(|step| model.describe(*step)).collect();
                assert!(found.is_none(), "{what}: not so: {}\n{}", property.name, steps.join("\n"));
            }
            _ => assert!(
                found.is_some() || stopped.is_some(),
                "{what}: shows nothing, for it never gets to: {}",
                property.name
            ),
        }
    }
    assert!(model.shows_a_refusal_for_a_lease(), "{what}: no lease ever refuses");
}

/// Without that rule, the search finds what must not be.
#[track_caller]
#[expect(clippy::print_stdout, reason = "the figures are the point")]
fn refutes(bug: Bug, property: &'static str, bounds: Bounds) {
    let bounds = Bounds { bugs: Bugs::NONE.with(bug), ..bounds };
    let start = stopwatch();
    let checker = Space::new(bounds, None).checker();
    let finish = HasDiscoveries::AnyOf([property].into());
    let checker = checker.finish_when(finish).spawn_bfs().join();
    let found = checker.discovery(property).map(|path| path.into_actions().len());
    println!(
        "{bug:?}: {} states, {} different; {found:?} steps to where not: {property}; {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        start.elapsed().as_secs_f64(),
    );
    assert!(found.is_some(), "{bug:?} is not noticed");
}

/// With `FIREBREAK_MODEL_SOAK` set also over a restart of any acceptor, and of either region: nine
/// minutes in a release build, and 10 GB.
#[test]
fn two_ballots_and_one_tick_hold_in_every_state() {
    clean("two ballots, one tick", TWO_AND_ONE, None);
    if std::env::var_os("FIREBREAK_MODEL_SOAK").is_some() {
        let region = Bounds { region_restarts: 1, ..TWO_AND_ONE };
        clean("two ballots, one tick, a region restarts", region, None);
        let acceptor = Bounds { acceptor_restarts: 1, ..TWO_AND_ONE };
        clean("two ballots, one tick, an acceptor restarts", acceptor, None);
    }
}

#[test]
fn a_lease_holds_over_restarts_of_acceptors_and_regions() {
    let bounds = Bounds { ballots: 1, acceptor_restarts: 1, region_restarts: 1, ..TWO_AND_ONE };
    clean("one ballot, one tick, restarts", bounds, None);
}

#[test]
fn a_lease_holds_while_grants_are_lost() {
    let bounds = Bounds { ballots: 1, grants_lost: true, ..TWO_AND_ONE };
    clean("one ballot, one tick, grants lost", bounds, None);
}

#[test]
fn a_lease_holds_while_writes_are_slow_and_lost_in_a_restart() {
    let bounds = Bounds { ballots: 1, slow: true, acceptor_restarts: 1, ..TWO_AND_ONE };
    clean("one ballot, one tick, slow writes", bounds, None);
}

#[test]
fn a_register_holds_over_restarts() {
    clean("register, two ballots, restarts", REGISTER, None);
}

#[test]
fn a_register_holds_when_every_answer_may_be_late() {
    let bounds =
        Bounds { acceptor_restarts: 0, region_restarts: 0, delays: Delays::Everything, ..REGISTER };
    clean("register, two ballots, late answers", bounds, None);
}

/// As deep as the time allows, by default 30 s.
#[test]
fn three_ballots_hold_as_deep_as_time_allows() {
    let seconds = std::env::var("FIREBREAK_MODEL_SECONDS").ok();
    let seconds = seconds.map_or(30, |it| it.parse().expect("a number of seconds"));
    let bounds = Bounds { ballots: 3, ticks: 2, ..TWO_AND_ONE };
    clean("three ballots, two ticks", bounds, Some(Duration::from_secs(seconds)));
}

const NOT_LOST: &str = "a chosen change is never lost";
const ONE_ACTS: &str = "two regions never act at one time";
const CHOSEN_ACTS: &str = "who acts is the chosen primary";

#[test]
fn a_quorum_of_one_is_refuted() {
    refutes(Bug::QuorumOfOne, NOT_LOST, REGISTER);
    refutes(Bug::QuorumOfOne, CHOSEN_ACTS, TWO_AND_ONE);
}

#[test]
fn an_acceptor_without_memory_is_refuted() {
    refutes(Bug::AcceptorWithoutMemory, NOT_LOST, Bounds { region_restarts: 0, ..REGISTER });
}

#[test]
fn a_proposal_without_its_read_phase_is_refuted() {
    refutes(Bug::NoReadPhase, NOT_LOST, TWO_AND_ONE);
}

#[test]
fn a_lease_counted_from_the_reply_is_refuted() {
    let bounds = Bounds { ballots: 1, delays: Delays::Leases, ..TWO_AND_ONE };
    refutes(Bug::LeaseFromReply, CHOSEN_ACTS, bounds);
}

#[test]
fn a_lease_without_its_other_rules_is_refuted() {
    refutes(Bug::L2OwnWord, CHOSEN_ACTS, TWO_AND_ONE);
    refutes(Bug::L4ProposersView, CHOSEN_ACTS, TWO_AND_ONE);
    let restarts = Bounds { ballots: 1, acceptor_restarts: 1, ..TWO_AND_ONE };
    refutes(Bug::L5ForgetGrants, ONE_ACTS, restarts);
    refutes(Bug::L6AnyDifference, CHOSEN_ACTS, Bounds { grants_lost: true, ..TWO_AND_ONE });
}
