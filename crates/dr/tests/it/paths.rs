//! The main ways through the protocol, as written.

use super::world::{ALL, EAST, WEST, WITNESS, World, account, peer};
use base::Span;
use dr::{Error, Event, Request, SecondaryState};

#[track_caller]
fn clean(world: &World) {
    assert!(world.violations.is_empty(), "{:?}\n{}", world.violations, world.diary.join("\n"));
    assert_eq!(world.unaccounted(), Vec::<u64>::new(), "{}", world.diary.join("\n"));
}

#[test]
fn a_new_account_becomes_in_sync_and_stays_so_under_load() {
    let mut world = World::in_sync(1, &[]);
    assert_eq!(world.load(20_000), 1000);
    let value = world.chosen().expect("made");
    assert_eq!((value.reign.epoch.get(), value.fork.get()), (1, 0));
    assert_eq!(value.secondary_state, SecondaryState::InSync);
    clean(&world);
}

#[test]
fn a_lost_region_is_replaced_and_comes_back_as_the_secondary() {
    for seed in 0..20 {
        let mut world = World::in_sync(seed, &[]);
        world.load(300);
        world.cut(EAST, WEST);
        world.load(100);
        world.kill(EAST);
        let lost_at = world.now;
        world.heal();
        world.until("taken over", 4_000, |world| world.primary() == Some(WEST));
        assert!(world.now.since(lost_at) < Span::from_ms(3_000), "{}", world.now.since(lost_at));
        world.load(300);
        assert!(world.converges(8_000), "{}", world.diary.join("\n"));
        assert!(!world.node(EAST).exported.is_empty(), "the tail is kept");
        world.load(300);
        world.ask(EAST, Request::Failback { account: account(), replaces: None });
        assert!(matches!(world.replies.pop(), Some(Err(Error::NotPrimary { .. }))));
        let fork = world.chosen().expect("made").fork;
        world.ask(WEST, Request::Failback { account: account(), replaces: None });
        let from = world.now;
        world.until("home again", 2_000, |world| world.primary() == Some(EAST));
        assert!(world.now.since(from) < Span::from_ms(500), "{}", world.now.since(from));
        assert_eq!(world.chosen().expect("made").fork, fork, "nothing was cut");
        assert!(world.converges(3_000));
        clean(&world);
    }
}

#[test]
fn a_restarted_primary_goes_on_in_a_new_epoch() {
    let mut world = World::in_sync(3, &[]);
    world.load(300);
    world.kill(EAST);
    world.start(EAST, &ALL);
    world.until("open again", 4_000, |world| world.primary() == Some(EAST));
    assert_eq!(world.epoch(), 2);
    assert_eq!(world.chosen().expect("made").fork.get(), 0, "the tails were compared");
    assert!(world.converges(3_000));
    clean(&world);
}

#[test]
fn a_restarted_primary_without_its_secondary_says_that_it_could_not_compare() {
    let mut world = World::in_sync(4, &[]);
    world.load(300);
    world.kill(WEST);
    world.load(1_000);
    world.kill(EAST);
    world.start(EAST, &ALL);
    world.until("open again", 8_000, |world| world.primary() == Some(EAST));
    let value = world.chosen().expect("made");
    assert_eq!((value.reign.epoch.get(), value.fork.get()), (2, 1));
    assert_eq!(value.secondary_state, SecondaryState::Lagging);
    assert!(world.converges(8_000), "{}", world.diary.join("\n"));
    clean(&world);
}

#[test]
fn one_region_alone_grows_into_a_pair_without_a_restart() {
    let mut world = World::new(5, &[]);
    world.start(EAST, &[EAST]);
    world.run(Span::from_ms(2_500));
    world.create();
    world.until("open", 1_000, |world| world.primary() == Some(EAST));
    world.load(500);
    world.start(WEST, &ALL);
    world.start(WITNESS, &ALL);
    world.tell(EAST, Event::Joined(peer(WEST)));
    world.tell(EAST, Event::Joined(peer(WITNESS)));
    world.ask(EAST, Request::Grow { account: account() });
    world.load(5_000);
    assert!(world.converges(2_000), "{}", world.diary.join("\n"));
    let value = world.chosen().expect("made");
    assert_eq!((value.acceptors.set.len(), value.acceptors.old), (3, None));
    assert_eq!(value.reign.epoch.get(), 1);
    world.kill(EAST);
    world.until("taken over", 4_000, |world| world.primary() == Some(WEST));
    clean(&world);
}

#[test]
fn what_is_not_built_says_so() {
    let mut world = World::in_sync(6, &[]);
    let mode = dr::Mode::SyncStrict;
    for request in [
        Request::ForcedFailover { account: account() },
        Request::SetMode { account: account(), mode },
        Request::SoleSurvivor,
        Request::Grow { account: account() },
    ] {
        world.ask(EAST, request);
        assert!(matches!(world.replies.pop(), Some(Err(Error::NotOffered { .. }))));
    }
    let again = Request::Create {
        account: account(),
        mode: dr::Mode::default(),
        policies: dr::Policies::new(dr::Timing::Fast),
    };
    world.ask(WEST, again);
    assert!(matches!(world.replies.pop(), Some(Err(Error::Exists { .. }))));
}

#[test]
fn compute_goes_home_before_the_data_does() {
    let mut world = World::in_sync(7, &[]);
    world.kill(EAST);
    world.until("taken over", 4_000, |world| world.primary() == Some(WEST));
    let compute = |world: &World| {
        let member = world.node(WEST).member.as_ref().expect("up");
        member.view(&account()).and_then(|view| view.compute)
    };
    assert_eq!(compute(&world), Some(peer(WEST).id));
    assert!(world.converges(8_000));
    assert_eq!(compute(&world), Some(peer(WEST).id));
    world.until("home", 6_000, |world| compute(world) == Some(peer(EAST).id));
    assert_eq!(world.primary(), Some(WEST));
}
