//! The directed schedules of PROTOCOL.md section 8 that concern `async`. Each holds as written,
//! and fails when its rule is taken out.

use super::bench::{Bench, LEASE, holder, id, reign};
use super::world::{ALL, EAST, Fate, Id, WEST, WITNESS, World, account, peer};
use base::{Span, Stamp};
use dr::{
    Accept, Accepted, Ballot, Bug, Change, Event, Failure, Message, Refusal, Refused, Release,
    Request, Role, SecondaryState, Verdict,
};

/// The schedule holds with every rule, and does not hold without this one.
#[track_caller]
fn needs(bug: Bug, schedule: impl Fn(&[Bug]) -> Result<(), String>) {
    assert_eq!(schedule(&[]), Ok(()), "as written");
    assert!(schedule(&[bug]).is_err(), "{bug:?} is not noticed");
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// The verdict of the judge outside.
fn verdict(world: &World) -> Result<(), String> {
    check(world.violations.is_empty(), &format!("{:?}", world.violations))?;
    check(world.unaccounted().is_empty(), "acknowledged writes are gone")
}

#[test]
fn schedule_01_a_half_accepted_promotion_is_not_completed_under_a_live_lease() {
    needs(Bug::L4ProposersView, |bugs| {
        let mut bench = Bench::new(bugs);
        bench.promote(WEST, WEST, &[WEST, WITNESS], &[WITNESS]);
        bench.lease(EAST, &[EAST, WEST]);
        bench.record(EAST, 1, SecondaryState::Lagging, &[EAST, WITNESS], &ALL);
        bench.lease(WEST, &[EAST, WEST]);
        check(bench.acts(EAST, 1), "east lost its lease")?;
        check(!bench.acts(WEST, 2), "both act")?;
        // R6: a read of exactly the refusing acceptors settles it, for east.
        let read = bench.read(EAST, &[EAST, WEST], &ALL);
        let settled = matches!(read, Some(Verdict::Chosen { ref value, .. }) if value.primary == holder(EAST));
        check(settled && bench.value(WITNESS).primary == holder(EAST), "not settled")
    });
}

#[test]
fn schedule_02_an_acceptor_that_missed_a_promotion_covers_nobody_else() {
    needs(Bug::L2OwnWord, |bugs| {
        let mut bench = Bench::new(bugs);
        bench.promote(WEST, WEST, &[WEST, WITNESS], &[WEST, WITNESS]);
        bench.record(WEST, 2, SecondaryState::InSync, &[WEST, WITNESS], &[WEST, WITNESS]);
        bench.lease(WEST, &[EAST, WEST]);
        let west = bench.acts(WEST, 2);
        bench.promote(EAST, WITNESS, &[EAST, WITNESS], &[EAST, WITNESS]);
        bench.lease(EAST, &[EAST, WITNESS]);
        check(bench.acts(EAST, 3), "the schedule does not get there")?;
        check(!west, "both act")
    });
}

#[test]
fn schedule_03_an_aborted_handoff_that_arrives_late_finds_another_epoch() {
    needs(Bug::S2SignThenGoOn, |bugs| {
        let mut world = World::in_sync(1, bugs);
        world.fate = Box::new(|envelope| match envelope.message {
            Message::Released { .. } => Fate::Hold,
            _ => Fate::Deliver,
        });
        let failover =
            Request::Switchover { account: account(), to: peer(WEST).id, replaces: None };
        world.ask(EAST, failover);
        let resumed =
            world.eventually(3_000, |world| world.held.len() > 1 && world.primary() == Some(EAST));
        check(resumed, "the abort does not end")?;
        world.fate = Box::new(|_| Fate::Deliver);
        // East hears nothing of it, but has its lease for a while.
        world.cut(WEST, EAST);
        world.cut(WITNESS, EAST);
        world.release_held();
        world.load(3_000);
        check(world.converges(5_000), "does not converge")?;
        verdict(&world)
    });
}

#[test]
fn schedule_03_the_abort_wins_over_a_handoff_that_one_acceptor_holds() {
    let mut bench = Bench::new(&[]);
    bench.lease(EAST, &ALL);
    let release = release(&bench);
    let handoff = Change::Handoff { release, by: holder(WEST) };
    bench.change(WEST, handoff.clone(), &[WEST, WITNESS], &[WITNESS]);
    let abort = Change::Raise { was: reign(1), by: holder(EAST), at: release.at, unsure: false };
    bench.change(EAST, abort, &[EAST, WEST], &[EAST, WEST]);
    bench.lease(EAST, &[EAST, WEST]);
    bench.lease(WEST, &[WITNESS]);
    let late = bench.change(WEST, handoff, &[WEST, WITNESS], &ALL);
    bench.lease(WEST, &ALL);
    assert!(bench.acts(EAST, 2) && !bench.acts(WEST, 2), "both act: {late:?}");
}

fn release(bench: &Bench) -> Release {
    let value = bench.value(EAST);
    Release {
        signer: value.primary,
        reign: value.reign,
        attempt: value.attempt,
        version: value.version,
        at: base::Position::ZERO,
        next: id(WEST),
    }
}

#[test]
fn schedule_04_a_proposal_of_in_sync_binds_though_its_answer_is_lost() {
    needs(Bug::R3ForgetProposal, |bugs| {
        let mut world = World::in_sync(2, bugs);
        world.ship_cut = [(EAST, WEST), (WEST, EAST)].into();
        world.load(1_000);
        let lagging = |world: &World| state(world) == Some(SecondaryState::Lagging);
        check(lagging(&world), "lagging is not recorded")?;
        world.fate = Box::new(|envelope| match envelope.message {
            Message::Accepted(_) | Message::Refused(_) | Message::Promise(_)
                if envelope.to == id(EAST) && envelope_promises_later(&envelope.message) =>
            {
                Fate::Lose
            }
            _ => Fate::Deliver,
        });
        world.ship_cut.clear();
        let recorded =
            world.eventually(2_000, |world| state(world) == Some(SecondaryState::InSync));
        check(recorded, "in_sync is not chosen")?;
        world.isolate(EAST);
        world.load(1_500);
        check(world.eventually(4_000, |world| world.primary() == Some(WEST)), "nobody took over")?;
        verdict(&world)
    });
}

/// The answers of phase 2: what east must not hear.
fn envelope_promises_later(message: &Message) -> bool {
    matches!(message, Message::Accepted(_))
}

fn state(world: &World) -> Option<SecondaryState> {
    world.chosen().map(|value| value.secondary_state)
}

#[test]
fn schedule_06_an_epoch_opens_only_at_exactly_its_recorded_start() {
    needs(Bug::E2LooseEnd, |bugs| {
        let mut world = World::in_sync(3, bugs);
        world.kill(EAST);
        // A tail that the register knows nothing of turns up between the measuring and the opening.
        world.node_mut(EAST).grows_before_opening = true;
        world.start(EAST, &ALL);
        let opened = world.eventually(4_000, |world| world.primary() == Some(EAST));
        check(!opened, "opened over a tail")?;
        check(matches!(world.node(EAST).role, Role::Stopped { .. }), "does not say so")
    });
}

#[test]
fn schedule_07_divergence_is_at_the_smallest_later_start() {
    needs(Bug::Q1WrongDivergence, |bugs| {
        let mut world = World::in_sync(4, bugs);
        // Epoch 2 starts above what west holds, and its opening commit is never written.
        world.ship_cut = [(EAST, WEST), (WEST, EAST)].into();
        world.write(EAST);
        world.kill(EAST);
        world.node_mut(EAST).never_opens = true;
        world.start(EAST, &ALL);
        check(world.eventually(3_000, |world| world.epoch() == 2), "not raised")?;
        world.kill(EAST);
        // Epoch 3 starts below it.
        check(world.eventually(4_000, |world| world.primary() == Some(WEST)), "not promoted")?;
        world.load(100);
        check(world.converges(5_000), "the logs stay apart")?;
        check(!world.node(EAST).exported.is_empty(), "nothing was exported")?;
        verdict(&world)
    });
}

#[test]
fn schedule_08_a_difference_after_a_lost_one_does_not_count() {
    needs(Bug::L6AnyDifference, |bugs| {
        let mut bench = Bench::new(bugs);
        bench.lease(EAST, &[EAST, WEST]);
        bench.wait_out();
        bench.promote(WEST, WEST, &[WEST, WITNESS], &[WEST, WITNESS]);
        bench.lease(WEST, &[WEST, WITNESS]);
        check(bench.acts(WEST, 2), "the schedule does not get there")?;
        bench.renew(EAST, &[EAST, WEST], &[WEST]);
        bench.lease(EAST, &[EAST, WEST]);
        check(!bench.acts(EAST, 1), "both act")
    });
}

#[test]
fn schedule_08_what_is_only_being_written_covers_nobody() {
    needs(Bug::L1NotDurable, |bugs| {
        let mut bench = Bench::new(bugs);
        bench.wait_out();
        bench.promote(WEST, WEST, &[EAST, WEST], &[EAST, WEST]);
        bench.lease(WEST, &[WITNESS]);
        bench.slow.insert(WITNESS, Vec::new());
        bench.slow_accept(WITNESS, WEST);
        bench.lease(WEST, &[WEST, WITNESS]);
        let west = bench.acts(WEST, 2);
        bench.restart(WITNESS);
        bench.record(WEST, 2, SecondaryState::InSync, &[EAST, WEST], &[EAST, WEST]);
        // The witness holds epoch 1 again, so east's taking back takes nothing from it.
        bench.promote(EAST, EAST, &[EAST, WITNESS], &[EAST, WITNESS]);
        bench.lease(EAST, &[EAST, WITNESS]);
        check(bench.acts(EAST, 3), "the schedule does not get there")?;
        check(!west, "both act")
    });
}

#[test]
fn schedule_08_a_healed_region_does_not_block_its_successor() {
    needs(Bug::L1KeepListed, |bugs| {
        let mut world = World::in_sync(5, bugs);
        world.isolate(EAST);
        check(world.eventually(4_000, |world| world.primary() == Some(WEST)), "not promoted")?;
        world.load(3_000);
        world.kill(WITNESS);
        world.heal();
        world.run(Span::from_ms(4_000));
        check(world.eventually(4_000, |world| world.primary() == Some(WEST)), "west cannot act")?;
        verdict(&world)
    });
}

#[test]
fn schedule_08_a_release_exempts_only_the_value_it_was_signed_for() {
    needs(Bug::L4AnyRelease, |bugs| {
        let mut bench = Bench::new(bugs);
        let release = release(&bench);
        let abort =
            Change::Raise { was: reign(1), by: holder(EAST), at: release.at, unsure: false };
        bench.change(EAST, abort, &ALL, &ALL);
        bench.lease(EAST, &ALL);
        let mut value = bench.value(EAST);
        (value.reign, value.primary, value.release) = (reign(3), holder(WEST), Some(release));
        let ballot = Ballot { counter: base::Counter::new(99), ..Ballot::default() };
        let accept = Accept { account: account(), ballot, value };
        let answers = bench.say(EAST, WEST, Message::Accept(accept));
        let refused = |it: &Message| {
            matches!(it, Message::Refused(Refused { why: Refusal::Lease { .. }, .. }))
        };
        check(answers.iter().any(refused), "taken under a live lease")
    });
}

#[test]
fn schedule_09_an_acceptor_that_restarts_may_have_granted() {
    needs(Bug::L5ForgetGrants, |bugs| {
        let mut bench = Bench::new(bugs);
        bench.lease(EAST, &[EAST, WITNESS]);
        bench.restart(WITNESS);
        let taken = bench.promote(WEST, WEST, &[WEST, WITNESS], &[WEST, WITNESS]);
        bench.lease(WEST, &[WEST, WITNESS]);
        check(bench.acts(EAST, 1), "the schedule does not get there")?;
        check(!bench.acts(WEST, 2), "both act")?;
        check(matches!(taken, Some(Verdict::Failed(Failure::Lease { .. })) | None), "taken")
    });
}

#[test]
fn schedule_09_a_seal_is_left_only_through_the_register() {
    needs(Bug::P3FreeUnseal, |bugs| {
        let mut world = World::in_sync(6, bugs);
        world.load(200);
        world.isolate(EAST);
        // West's promotion reaches its own acceptor only.
        world.fate = Box::new(|envelope| match &envelope.message {
            Message::Accept(Accept { value, .. }) if value.primary.member == id(WEST) => Fate::Lose,
            _ => Fate::Deliver,
        });
        let half = |world: &World| {
            let member = world.node(WEST).member.as_ref();
            let value = member.and_then(|member| member.register(&account()));
            value.is_some_and(|value| value.primary.member == id(WEST))
        };
        check(world.eventually(4_000, half), "not proposed")?;
        world.heal();
        world.load(3_000);
        world.fate = Box::new(|_| Fate::Deliver);
        world.kill(EAST);
        check(world.eventually(6_000, |world| world.primary() == Some(WEST)), "west cannot act")?;
        check(world.converges(8_000), "does not converge")?;
        verdict(&world)
    });
}

#[test]
fn schedule_09_an_unknown_tail_is_beyond_the_bound() {
    needs(Bug::E4FreshTail, |bugs| {
        let mut world = World::in_sync(7, bugs);
        world.load(500);
        world.ship_cut = [(EAST, WEST), (WEST, EAST)].into();
        world.load(200);
        world.kill(EAST);
        world.start(EAST, &ALL);
        world.load(2_000);
        check(world.epoch() == 2 && world.primary() == Some(EAST), "not open again")?;
        verdict(&world)
    });
}

#[test]
fn schedule_10_a_primary_that_hears_nothing_is_replaced() {
    needs(Bug::L7NoNonce, |bugs| {
        let mut world = World::in_sync(8, bugs);
        world.load(200);
        world.cut(WEST, EAST);
        world.cut(WITNESS, EAST);
        // Two L and a little. Without nonces it takes longer, until east leaves the account out (L1).
        world.load(4_600);
        check(world.primary() == Some(WEST), "nobody took over in time")?;
        verdict(&world)
    });
}

#[test]
fn schedule_10_no_cut_of_one_link_or_direction_moves_the_primary_or_refuses_a_write() {
    let directed: Vec<[(Id, Id); 1]> = ALL
        .iter()
        .flat_map(|from| ALL.iter().map(move |to| [(*from, *to)]))
        .filter(|[(from, to)]| from != to)
        .collect();
    let both = [(EAST, WEST), (EAST, WITNESS), (WEST, WITNESS)].map(|(a, b)| [(a, b), (b, a)]);
    let cuts = directed.iter().map(|cut| cut.to_vec()).chain(both.iter().map(|cut| cut.to_vec()));
    for cuts in cuts {
        let mut world = World::in_sync(9, &[]);
        world.load(200);
        for (from, to) in &cuts {
            world.cut(*from, *to);
        }
        assert_eq!(world.load(12_000), 600, "{cuts:?}\n{}", world.diary.join("\n"));
        assert_eq!((world.primary(), world.epoch()), (Some(EAST), 1), "{cuts:?}");
        assert!(!world.diary.iter().any(|it| it.contains("promote")), "{cuts:?}: sealed");
        assert!(world.converges(5_000), "{cuts:?}");
        assert_eq!(verdict(&world), Ok(()), "{cuts:?}");
    }
}

#[test]
fn rule_l3_keeps_a_margin_for_clocks_that_run_apart() {
    needs(Bug::L3NoMargin, |bugs| {
        let mut bench = Bench::new(bugs);
        bench.lease(EAST, &ALL);
        let granted_at = bench.now;
        // One per cent apart in either direction: the acceptors' clocks are fast, east's is slow.
        let real = LEASE;
        let east = granted_at + real.shorter_by_percent(1);
        bench.now = granted_at + real.longer_by_percent(1);
        bench.promote(WEST, WEST, &[WEST, WITNESS], &[WEST, WITNESS]);
        bench.lease(WEST, &[WEST, WITNESS]);
        check(bench.acts(WEST, 2), "the schedule does not get there")?;
        bench.now = east;
        check(!bench.acts(EAST, 1), "both act")
    });
}

#[test]
fn rule_e1_a_process_start_ends_its_epoch() {
    needs(Bug::ContinueEpochAfterRestart, |bugs| {
        let mut world = World::in_sync(10, bugs);
        world.kill(EAST);
        world.start(EAST, &ALL);
        check(world.eventually(4_000, |world| world.primary() == Some(EAST)), "not open")?;
        check(world.epoch() == 2, "goes on in the epoch of another process")
    });
}

#[test]
fn rule_p2_a_lagging_secondary_is_not_promoted() {
    needs(Bug::PromoteWhileLagging, |bugs| {
        let mut world = World::in_sync(11, bugs);
        world.ship_cut = [(EAST, WEST), (WEST, EAST)].into();
        world.load(3_000);
        check(state(&world) == Some(SecondaryState::Lagging), "not recorded")?;
        world.kill(EAST);
        world.run(Span::from_ms(6_000));
        check(world.primary().is_none(), "promoted")?;
        check(world.converges(8_000), "does not converge")
    });
}

#[test]
fn rule_m2_the_bound_holds_until_lagging_is_chosen() {
    needs(Bug::M2RelaxFirst, |bugs| {
        let mut world = World::in_sync(12, bugs);
        world.load(500);
        world.isolate(EAST);
        world.load(2_000);
        verdict(&world)
    });
}

#[test]
fn rule_m1_in_sync_is_recorded_only_after_the_opening_commit_was_acknowledged() {
    needs(Bug::M1UnprovenInSync, |bugs| {
        let mut world = World::in_sync(13, bugs);
        world.ship_cut = [(EAST, WEST), (WEST, EAST)].into();
        world.load(2_000);
        world.kill(EAST);
        world.start(EAST, &ALL);
        let recorded = |world: &World| state(world) == Some(SecondaryState::InSync);
        check(!world.eventually(2_000, recorded), "recorded without proof")?;
        check(world.epoch() == 2, "not open again")
    });
}

#[test]
fn rule_p1_a_cut_between_the_regions_seals_nothing() {
    needs(Bug::P1SealAtOnce, |bugs| {
        let mut world = World::in_sync(14, bugs);
        world.cut(EAST, WEST);
        world.cut(WEST, EAST);
        world.load(2_000);
        check(!world.diary.iter().any(|it| it.contains("promote")), "sealed")
    });
}

#[test]
fn rule_e5_what_belongs_to_a_lower_epoch_proves_nothing() {
    needs(Bug::StaleEpochAccepted, |bugs| {
        let mut world = World::in_sync(15, bugs);
        world.load(200);
        let old = world.node(WEST).end();
        world.ship_cut = [(EAST, WEST), (WEST, EAST)].into();
        world.load(100);
        world.kill(EAST);
        world.start(EAST, &ALL);
        check(world.eventually(3_000, |world| world.primary() == Some(EAST)), "not open")?;
        let (account, from, epoch) = (account(), id(WEST), old.epoch);
        world.tell(EAST, Event::SecondaryAcked { account, from, epoch, position: old });
        world.load(100);
        check(world.node(EAST).acks_nothing(world.now), "acknowledges")
    });
}

#[test]
fn rule_l9_stamps_begin_above_what_was_granted_between_promise_and_acceptance() {
    needs(Bug::L9PromisedCeiling, |bugs| {
        let mut bench = Bench::new(bugs);
        let at = [WEST, WITNESS];
        let mut stamped_below = Stamp::ZERO;
        // Nobody has grants when west asks; then east comes back, stamps, and is lost again.
        let taken = bench.promote_slowly(&at, |bench| {
            bench.ceiling = Stamp::from_ms(30_000);
            bench.lease(EAST, &at);
            bench.renew(EAST, &at, &[]);
            let acceptors = bench.value(WEST).acceptors;
            stamped_below = bench.holders[&EAST].ceiling(&account(), reign(1), &acceptors);
            bench.wait_out();
        });
        check(stamped_below == bench.ceiling, "the schedule does not get there")?;
        let Some(Verdict::Chosen { applied: true, ceiling, .. }) = taken else {
            return Err(format!("not taken: {taken:?}"));
        };
        check(ceiling >= stamped_below, "west may stamp below east")
    });
}

#[test]
fn an_acceptance_that_comes_twice_is_answered_twice_and_written_once() {
    let mut bench = Bench::new(&[]);
    let (ballot, value) = bench.acceptors[&EAST].accepted(&account()).expect("made").clone();
    let accept = Message::Accept(Accept { account: account(), ballot, value });
    let again = bench.say(EAST, WEST, accept);
    let accepted = Accepted { account: account(), ballot, ceiling: Stamp::ZERO };
    assert_eq!(again, vec![Message::Accepted(accepted)]);
}
