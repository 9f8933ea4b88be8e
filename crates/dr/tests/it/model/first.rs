//! Where the search begins.

use super::history::History;
use super::seat::Seat;
use super::space::{ACCEPTORS, EAST, Seen, State, WEST, account};
use super::tables::Tables;
use super::voter::Voter;
use base::{ChangeId, Generation, MemberId, Span};
use dr::{Ballot, Bugs, Change, Goal, Holder, Mode, Policies, Timing, Value};
use std::collections::BTreeSet;

/// East is primary in epoch 1 and west follows, in sync, by the word of all three; nobody has
/// grants, and both have heard of every acceptor (L7).
pub fn first(tables: &mut Tables, bugs: Bugs) -> State {
    let ids = ACCEPTORS.map(MemberId::new);
    let mut voters = ids.map(|id| Voter::new(id, bugs));
    let all: BTreeSet<MemberId> = ids.into();
    let east = Holder { member: MemberId::new(EAST), boot: base::BootId::new(EAST * 100) };
    let create = Change::Create {
        generation: Generation::new(1),
        by: east,
        secondary: Some(MemberId::new(WEST)),
        mode: Mode::Async { max_lag: Span::from_secs(1) },
        policies: Policies::new(Timing::Fast),
        acceptors: all.clone(),
    };
    let mut proposer = dr::Proposer::new(east, account(), bugs);
    let (value, _) =
        chosen(&mut proposer, &mut voters, Goal::Change(ChangeId::new(1), create), None);
    let state = dr::SecondaryState::InSync;
    let in_sync = Change::Record { reign: value.reign, by: east, state };
    let (value, ballot) =
        chosen(&mut proposer, &mut voters, Goal::Change(ChangeId::new(2), in_sync), Some(&value));
    let mut seats = [EAST, WEST].map(|id| Seat::new(MemberId::new(id), value.clone(), bugs));
    seats[1].proposer.saw(ballot);
    seats[0].proposer = proposer;
    seats[0].own = Some(value.reign);
    for seat in &mut seats {
        for voter in &mut voters {
            for packet in seat.renew(0, voter.me).packets {
                for answer in voter.receive(0, packet.from, packet.message, false).packets {
                    seat.receive(0, answer.from, answer.message);
                }
            }
        }
    }
    let mut history = History::default();
    history.propose(ballot, &value);
    for id in ids {
        history.vote(ballot, id);
    }
    tables.first_ballot = ballot;
    let top = u8::try_from(ballot.counter.get()).expect("the second");
    let mut state = State {
        voters: voters.map(|voter| tables.voter(voter)),
        seats: seats.map(|seat| tables.seat(seat)),
        net: tables.nothing_on_its_way(),
        history: tables.history(history),
        clock: 0,
        begun: 0,
        renewed: [0; 2],
        top,
        restarts: 0,
        reboots: 0,
        active: 0,
        depth: 0,
        seen: Seen::default(),
        new: Seen::default(),
    };
    state.seen = tables.seen(&state);
    state
}

/// A run that nothing comes between.
fn chosen(
    proposer: &mut dr::Proposer,
    voters: &mut [Voter; 3],
    goal: Goal,
    known: Option<&Value>,
) -> (Value, Ballot) {
    let all = voters.iter().map(|voter| voter.me).collect();
    let me = Holder { member: MemberId::new(EAST), boot: base::BootId::new(EAST * 100) };
    let (mut outputs, _) = proposer.begin(goal, all, false, known);
    while let Some(output) = outputs.pop() {
        let dr::Output::Send { to, message, .. } = output else { continue };
        let voter = voters.iter_mut().find(|voter| voter.me == to).expect("one of three");
        for answer in voter.receive(0, me, message, false).packets {
            let (more, verdict) = proposer.receive(answer.from.member, answer.message);
            outputs.extend(more);
            if let Some(dr::Verdict::Chosen { value, ballot, .. }) = verdict {
                deliver_rest(outputs, voters, me);
                return (value, ballot);
            }
        }
    }
    unreachable!("nothing stands in the way")
}

fn deliver_rest(outputs: Vec<dr::Output>, voters: &mut [Voter; 3], me: Holder) {
    for output in outputs {
        if let dr::Output::Send { to, message, .. } = output {
            let voter = voters.iter_mut().find(|voter| voter.me == to).expect("one of three");
            voter.receive(0, me, message, false);
        }
    }
}
