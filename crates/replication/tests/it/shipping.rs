//! Shipping by the rules, whatever the network and the secondary do.

use crate::pair::{EAST, Pair, WEST, account, append, frames, holder, open, reign};
use base::{BootTime, Epoch, Position, Rng as _, Seeded, Seq, Span};
use dr::{Query, Role};
use proptest::prelude::*;
use replication::{
    Body, Fetch, FetchAction, FetchPlan, FollowAction, Head, Parcel, Refused, ShipEvent,
    ShipLimits, serve_fetch,
};
use store::disk::SimDisk;

fn small() -> ShipLimits {
    ShipLimits { batch_bytes: 600, batch_frames: 5, window_bytes: 3000, ..ShipLimits::default() }
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    Sync,
    Ship,
    West(u16),
    Append,
    East(u16),
    Lose(u16),
    Double(u16),
    Wait(u16),
    Reconnect,
    CrashWest(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u8..200).prop_map(Step::Write),
        4 => Just(Step::Sync),
        8 => Just(Step::Ship),
        8 => any::<u16>().prop_map(Step::West),
        8 => Just(Step::Append),
        8 => any::<u16>().prop_map(Step::East),
        2 => any::<u16>().prop_map(Step::Lose),
        2 => any::<u16>().prop_map(Step::Double),
        2 => (0u16..3000).prop_map(Step::Wait),
        1 => Just(Step::Reconnect),
        1 => any::<u64>().prop_map(Step::CrashWest),
    ];
    proptest::collection::vec(step, 1..150)
}

fn pick(len: usize, at: u16) -> Option<usize> {
    (len > 0).then(|| usize::from(at) % len)
}

fn step(pair: &mut Pair, step: &Step) {
    match step {
        Step::Write(bytes) => {
            let text = format!("{} {}", pair.east.end().seq, "w".repeat(usize::from(*bytes)));
            append(&mut pair.east, 1, &text);
        }
        Step::Sync => {
            let end = pair.east.sync().expect("synced");
            pair.shipper.durable(end.seq);
        }
        Step::Ship => pair.ship(),
        Step::West(at) => {
            if let Some(at) = pick(pair.to_west.len(), *at) {
                pair.west_takes(at);
            }
        }
        Step::Append => pair.west_appends(),
        Step::East(at) => {
            if let Some(at) = pick(pair.to_east.len(), *at) {
                pair.east_takes(at);
            }
        }
        Step::Lose(at) => {
            if let Some(place) = pick(pair.to_west.len(), *at) {
                pair.to_west.remove(place);
            }
            if let Some(place) = pick(pair.to_east.len(), at.rotate_left(8)) {
                pair.to_east.remove(place);
            }
        }
        Step::Double(at) => {
            if let Some(place) = pick(pair.to_west.len(), *at) {
                pair.to_west.push(pair.to_west[place].clone());
            }
            if let Some(place) = pick(pair.to_east.len(), at.rotate_left(8)) {
                pair.to_east.push(pair.to_east[place].clone());
            }
        }
        Step::Wait(ms) => pair.now = pair.now + Span::from_ms(u64::from(*ms)),
        Step::Reconnect => {
            pair.shipper.disconnected();
            pair.shipper.connected();
        }
        Step::CrashWest(seed) => pair.crash_west(&mut Seeded(*seed)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_secondary_is_a_prefix_and_holds_all_it_acknowledged(steps in steps()) {
        let mut pair = Pair::new(small());
        for next in &steps {
            step(&mut pair, next);
            let (east, west) = (pair.east.reader(), pair.west.reader());
            prop_assert!(east.contains(&west.durable()).expect("whole"), "shipped before durable");
            prop_assert!(west.contains(&pair.shipper.acked()).expect("whole"));
            for event in pair.events.drain(..) {
                if let ShipEvent::Acked { position } = event {
                    prop_assert!(west.contains(&position).expect("whole"));
                } else {
                    prop_assert_eq!(event, ShipEvent::CaughtUp);
                }
            }
        }
        pair.east.sync().expect("synced");
        pair.settle();
        prop_assert_eq!(pair.shipper.acked(), pair.east.end());
        prop_assert_eq!(frames(&pair.west), frames(&pair.east));
    }
}

#[test]
fn the_window_is_bounded() {
    let mut pair = Pair::new(small());
    for n in 0..200 {
        append(&mut pair.east, 1, &format!("{n} {}", "b".repeat(100)));
    }
    pair.east.sync().expect("synced");
    pair.ship();
    pair.west_takes(0);
    pair.east_takes(0);
    for _ in 0..100 {
        pair.ship();
    }
    let bytes: usize = pair.to_west.iter().map(bytes::Bytes::len).sum();
    assert!((3000..6000).contains(&bytes), "{bytes} bytes in flight");
}

#[test]
fn caught_up_is_said_once_each_time() {
    let mut pair = Pair::new(small());
    pair.settle();
    append(&mut pair.east, 1, "more");
    let end = pair.east.sync().expect("synced");
    pair.shipper.durable(end.seq);
    pair.settle();
    let said = pair.events.iter().filter(|event| **event == ShipEvent::CaughtUp).count();
    assert_eq!(said, 2);
    assert_eq!(pair.shipper.mark().map(|mark| mark.seq), Some(end.seq));
}

/// What west answers to a batch from this primary in this epoch.
fn answer(pair: &mut Pair, boot: u128, epoch: u64) -> (Option<Body>, Option<Epoch>) {
    let before = pair.west.durable();
    let mut donor = open(&SimDisk::new());
    append(&mut donor, epoch, "from elsewhere");
    donor.sync().expect("synced");
    let mut data = Vec::new();
    frames(&donor)[0].encode(&mut data);
    let head = Head {
        account: account(),
        from: holder(EAST, boot),
        reign: reign(epoch),
        to_boot: None,
        body: Body::Batch { session: 1, before },
    };
    let parcel = Parcel { head, frames: data.into() };
    let (mut body, mut other) = (None, None);
    for action in pair.follower.receive(&parcel) {
        match action {
            FollowAction::Send { parcel, .. } => body = Some(parcel.head.body),
            FollowAction::OtherEpoch { epoch } => other = Some(epoch),
            FollowAction::Append(frames) => pair.appending.push(frames),
            FollowAction::Stopped { .. } => {}
        }
    }
    (body, other)
}

const NOT_FOLLOWING: Body = Body::Refused { session: 1, why: Refused::NotFollowing };

#[test]
fn e5_a_batch_of_another_boot_or_epoch_is_refused() {
    let mut pair = Pair::new(small());
    assert_eq!(answer(&mut pair, 11, 1).0, Some(NOT_FOLLOWING), "another boot");
    assert_eq!(answer(&mut pair, 10, 2), (Some(NOT_FOLLOWING), Some(Epoch::new(2))));
    let role = Role::Secondary { epoch: Epoch::new(3), primary: holder(EAST, 10), appends: true };
    pair.follower.set_role(&role, Position::ZERO);
    let old = Body::Refused { session: 1, why: Refused::OldEpoch { known: reign(3) } };
    assert_eq!(answer(&mut pair, 10, 1).0, Some(old));
    pair.follower.set_role(&Role::Starting, Position::ZERO);
    let old = Body::Refused { session: 1, why: Refused::OldEpoch { known: reign(3) } };
    assert_eq!(answer(&mut pair, 10, 2).0, Some(old), "what is known stays known");
    assert!(pair.appending.is_empty());
}

#[test]
fn p2_a_sealed_secondary_measures_after_what_is_in_flight_and_takes_no_more() {
    let mut pair = Pair::new(small());
    append(&mut pair.east, 1, "in flight");
    pair.east.sync().expect("synced");
    pair.ship();
    pair.west_takes(0);
    pair.east_takes(0);
    pair.ship();
    pair.west_takes(0);
    assert_eq!(pair.appending.len(), 1);
    assert_eq!(pair.follower.stop_appends(Query(7), Epoch::new(1)), []);
    assert_eq!(answer(&mut pair, 10, 1).0, Some(NOT_FOLLOWING));
    let frames = pair.appending.remove(0);
    pair.west
        .append(frames.into_iter().map(store::log::Frame::into_entry).collect())
        .expect("appended");
    let end = pair.west.sync().expect("synced");
    let stopped = FollowAction::Stopped { query: Query(7), end };
    assert_eq!(pair.follower.appended(end).last(), Some(&stopped));
    assert_eq!(
        pair.follower.stop_appends(Query(8), Epoch::new(1)),
        [FollowAction::Stopped { query: Query(8), end }]
    );
}

#[test]
fn e3_an_acknowledgement_counts_by_hash_and_of_this_boot_only() {
    let mut pair = Pair::new(small());
    append(&mut pair.east, 1, "ours");
    let end = pair.east.sync().expect("synced");
    pair.ship();
    let say = |to_boot, end| {
        let head = Head {
            account: account(),
            from: holder(WEST, 20),
            reign: reign(1),
            to_boot: Some(holder(EAST, to_boot).boot),
            body: Body::Standing { session: 1, end },
        };
        Parcel::bare(head)
    };
    let (log, now) = (pair.east.reader(), pair.now);
    let mut hear = |parcel: &Parcel| pair.shipper.receive(now, parcel, &log).expect("reads");
    assert_eq!(hear(&say(9, end)), [], "meant for an earlier boot");
    let other = Position { hash: base::Hash::of(b"another history"), ..end };
    assert_eq!(hear(&say(10, other)), [ShipEvent::Diverged { end: other }]);
    assert_eq!(pair.shipper.acked(), Position::ZERO);
}

#[test]
fn e1_a_longer_tail_is_fetched_and_no_more_than_it() {
    let mut far = open(&SimDisk::new());
    let mut near = open(&SimDisk::new());
    let mut rng = Seeded(3);
    for n in 0..3000 {
        let text = format!("{n} {}", "t".repeat(usize::try_from(rng.below(900)).expect("small")));
        append(&mut far, 1, &text);
        if n < 5 {
            append(&mut near, 1, &text);
        }
        if n % 20 == 0 {
            far.sync().expect("synced");
        }
    }
    let (to, end) = (far.sync().expect("synced"), near.sync().expect("synced"));
    append(&mut far, 2, "beyond");
    far.sync().expect("synced");
    let (me, from, now) = (holder(EAST, 1), WEST, BootTime::ZERO);
    let (account, query, reign) = (account(), Query(1), reign(1));
    let plan = FetchPlan { account, query, me, reign, from, to };
    let (mut fetch, mut actions) = Fetch::begin(plan, end, now);
    let mut rounds = 0;
    let done = loop {
        rounds += 1;
        match actions.remove(0) {
            FetchAction::Send(asked) => {
                let answer = serve_fetch(holder(WEST, 2), &asked, &far.reader())
                    .expect("the log reads")
                    .expect("a fetch is answered");
                actions = fetch.receive(now, &answer);
            }
            FetchAction::Append(frames) => {
                for frame in frames {
                    near.append(vec![frame.into_entry()]).expect("appended");
                }
                actions = fetch.appended(now, near.sync().expect("synced"));
            }
            FetchAction::Done { end, .. } => break end,
        }
    };
    assert!(rounds > 4, "it took several answers");
    assert_eq!((done, near.end()), (to, to));
    assert_eq!(near.reader().verify(Seq::ZERO).expect("whole"), to);
}

#[test]
fn a_fetch_ends_when_the_other_region_is_silent() {
    let (me, from, now) = (holder(EAST, 1), WEST, BootTime::ZERO);
    let to = Position { seq: Seq::new(9), ..Position::ZERO };
    let plan = FetchPlan { account: account(), query: Query(1), me, reign: reign(1), from, to };
    let (mut fetch, _) = Fetch::begin(plan, Position::ZERO, now);
    assert_eq!(fetch.tick(now + Span::from_ms(2999)), []);
    let done = FetchAction::Done { query: Query(1), end: Position::ZERO };
    assert_eq!(fetch.tick(now + Span::from_secs(3)), [done]);
    assert_eq!(fetch.timer(), None);
}
