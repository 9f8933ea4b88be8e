//! What was proposed, voted and reported, whatever became of the messages; and whether it is the
//! history of one register.

use base::{ChangeId, MemberId};
use dr::{Ballot, Bugs, Change, Holder, Value};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    proposals: BTreeSet<Proposal>,
    votes: BTreeSet<(Ballot, MemberId)>,
    /// Reported as chosen by a proposer, but not accepted by a majority at that time.
    unfounded: BTreeSet<Proposal>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Proposal {
    ballot: Ballot,
    value: Value,
}

impl PartialOrd for Proposal {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Proposal {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |it: &Self| (it.ballot, it.value.version.counter, it.value.version.change);
        key(self).cmp(&key(other))
    }
}

/// What the properties ask of a history.
#[derive(Clone, Debug)]
pub struct Facts {
    /// R1: no ballot carries two values.
    pub one_value: bool,
    /// R1: the chosen values are one chain of changes, in the order of their ballots.
    pub one_chain: bool,
    /// The primary of the newest chosen value.
    pub newest: Holder,
    /// A region chose a value that another had proposed before.
    pub completed: bool,
}

impl History {
    pub fn propose(&mut self, ballot: Ballot, value: &Value) {
        self.proposals.insert(Proposal { ballot, value: value.clone() });
    }

    pub fn vote(&mut self, ballot: Ballot, by: MemberId) {
        self.votes.insert((ballot, by));
    }

    pub fn report(&mut self, ballot: Ballot, value: &Value) {
        let proposal = Proposal { ballot, value: value.clone() };
        if !self.is_chosen(&proposal) {
            self.unfounded.insert(proposal);
        }
    }

    fn is_chosen(&self, proposal: &Proposal) -> bool {
        let voters = self.votes.iter().filter(|(ballot, _)| *ballot == proposal.ballot);
        proposal.value.acceptors.quorum(&voters.map(|(_, by)| *by).collect())
    }

    pub fn facts(&self, changes: &BTreeMap<ChangeId, Change>) -> Facts {
        let ballots: BTreeSet<Ballot> = self.proposals.iter().map(|it| it.ballot).collect();
        let mut chosen: Vec<&Proposal> =
            self.proposals.iter().filter(|it| self.is_chosen(it)).collect();
        chosen.extend(&self.unfounded);
        chosen.sort();
        let follows = |pair: &[&Proposal]| match pair {
            [a, b] => a.value == b.value || self.descends(&a.value, &b.value, changes),
            _ => true,
        };
        let newest = chosen.iter().max_by_key(|it| it.value.version.counter);
        let completed = |it: &&Proposal| {
            let twin = |other: &&Proposal| {
                other.value.version == it.value.version && other.ballot.member != it.ballot.member
            };
            self.proposals.iter().any(|other| other.ballot < it.ballot && twin(&other))
        };
        Facts {
            one_value: ballots.len() == self.proposals.len(),
            one_chain: chosen.windows(2).all(follows),
            newest: newest.expect("the first value is chosen").value.primary,
            completed: chosen.iter().skip(1).any(completed),
        }
    }

    /// Whether `to` comes of `from` by changes that were proposed, one upon the other.
    fn descends(&self, from: &Value, to: &Value, changes: &BTreeMap<ChangeId, Change>) -> bool {
        let steps = self.proposals.iter().filter(|it| {
            let id = it.value.version.change;
            let made = changes.get(&id).map(|change| change.apply(Some(from), id, Bugs::NONE));
            made == Some(Ok(it.value.clone()))
        });
        let mut steps = steps.map(|it| &it.value);
        steps.any(|value| value == to || self.descends(value, to, changes))
    }
}
