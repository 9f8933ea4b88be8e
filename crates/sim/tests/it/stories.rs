//! Stories that PROTOCOL.md and DESIGN.md promise.

use base::Span;
use sim::Place::{East, West, Witness};
use sim::{Place, Story};

const LINKS: [(Place, Place); 3] = [(East, West), (East, Witness), (West, Witness)];
/// The promise of `fast` timing.
const RTO: Span = Span::from_secs(6);

/// A cut that is long past every lease, and heals: the writer stays, and no client notices.
fn expect_unnoticed(cut: impl FnOnce(&mut Story)) {
    let mut t = Story::new();
    t.open_doors();
    t.pass(Span::from_secs(2));
    cut(&mut t);
    t.pass(Span::from_secs(25));
    t.write(East, 3);
    t.heal();
    t.expect_one_writer();
    t.expect_count("failover", 0);
    t.expect_nothing_refused();
    t.judge();
}

#[test]
fn no_cut_of_one_link_moves_anything_or_refuses_anybody() {
    for (one, other) in LINKS {
        expect_unnoticed(|t| t.cut(one, other));
    }
}

#[test]
fn no_cut_of_one_direction_moves_anything_or_refuses_anybody() {
    for (one, other) in LINKS.into_iter().flat_map(|(one, other)| [(one, other), (other, one)]) {
        expect_unnoticed(|t| t.cut_one_way(one, other));
    }
}

#[test]
fn an_isolated_primary_is_replaced_within_the_rto() {
    let mut t = Story::new();
    t.write(East, 3);
    t.isolate(East);
    let lost_at = t.now();
    t.write(West, 1);
    let rto = t.now().since(lost_at);
    assert!(rto <= RTO, "{rto}");
    t.heal();
    t.expect_one_writer();
    t.expect_count("failover", 1);
    t.judge();
}

#[test]
fn a_primary_that_dies_is_replaced_within_the_rto_and_comes_back_as_the_secondary() {
    for power in [false, true] {
        let mut t = Story::new();
        t.open_doors();
        t.write(East, 5);
        if power {
            t.power_off(East)
        } else {
            t.kill(East)
        }
        let lost_at = t.now();
        t.write(West, 1);
        let rto = t.now().since(lost_at);
        assert!(rto <= RTO, "{rto}");
        t.start(East);
        t.expect_one_writer();
        t.expect_writer(West, Span::ZERO);
        t.judge();
    }
}

#[test]
fn a_primary_that_hears_nothing_loses_its_lease() {
    let mut t = Story::new();
    t.open_doors();
    t.deafen(East);
    t.write(West, 3);
    t.heal();
    t.expect_one_writer();
    t.judge();
}

#[test]
fn an_acknowledged_tail_that_was_not_shipped_is_quarantined() {
    let mut t = Story::new();
    t.write(East, 2);
    t.cut(East, West);
    t.write(East, 4);
    t.power_off(East);
    t.write(West, 2);
    t.heal();
    t.expect_one_writer();
    t.expect_count("return with a tail", 1);
    let outcome = t.judge();
    assert_eq!(outcome.lost, 4);
    assert!(outcome.quarantined >= 4);
}

#[test]
fn a_primary_that_restarts_at_once_goes_on_in_a_new_epoch() {
    let mut t = Story::new();
    t.open_doors();
    t.write(East, 3);
    t.kill(East);
    t.pass(Span::from_ms(100));
    t.start(East);
    t.write(East, 3);
    t.expect_one_writer();
    t.expect_count("failover", 0);
    t.expect_count("fork by a start", 0);
    let outcome = t.judge();
    assert_eq!(outcome.lost, 0);
}

#[test]
fn switchover_and_failback_lose_nothing_and_refuse_nobody() {
    let mut t = Story::new();
    t.open_doors();
    t.write(East, 3);
    t.switch_over(West);
    t.write(West, 3);
    t.expect_one_writer();
    t.fail_back();
    t.write(East, 3);
    t.expect_one_writer();
    t.expect_count("switchover", 2);
    t.expect_count("failover", 0);
    t.expect_nothing_refused();
    let outcome = t.judge();
    assert_eq!(outcome.lost, 0);
    assert_eq!(outcome.quarantined, 0);
}

#[test]
fn a_secondary_that_was_away_takes_the_difference() {
    let mut t = Story::new();
    t.write(East, 2);
    t.kill(West);
    t.write(East, 40);
    t.start(West);
    t.expect_one_writer();
    t.expect_count("failover", 0);
    t.judge();
}

#[test]
fn with_two_members_gone_nobody_acts_and_with_one_back_somebody_does() {
    let mut t = Story::new();
    t.write(East, 2);
    t.kill(West);
    t.kill(Witness);
    t.pass(Span::from_secs(10));
    assert_eq!(t.world.writer(), None);
    t.start(Witness);
    t.write(East, 2);
    t.start(West);
    t.expect_one_writer();
    t.judge();
}

#[test]
fn after_a_failover_that_failed_back_and_a_second_one_nothing_is_lost_silently() {
    let mut t = Story::new();
    t.write(East, 3);
    t.isolate(East);
    t.write(West, 3);
    t.heal();
    t.expect_one_writer();
    t.fail_back();
    t.write(East, 3);
    t.expect_one_writer();
    t.cut(East, West);
    t.write(East, 2);
    t.isolate(East);
    t.write(West, 2);
    t.heal();
    t.expect_one_writer();
    t.judge();
}
