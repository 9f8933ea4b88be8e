use super::*;
use base::{Fork, Stamp};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};

#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn boot(&self) -> BootTime {
        BootTime::from_us(self.0.load(Ordering::SeqCst))
    }
    fn wall(&self) -> Stamp {
        Stamp::ZERO
    }
}

struct Table {
    clock: Arc<Hand>,
    gate: AccountGate,
}

const LEASE: Span = Span::from_secs(100);
const MAX_LAG: Span = Span::from_secs(5);

fn open(epoch: u64, acks: Acks) -> dr::Gate {
    dr::Gate::Open(dr::Term {
        epoch: Epoch::new(epoch),
        fork: Fork::ZERO,
        boot: BootId::new(9),
        valid_until: BootTime::ZERO + LEASE,
        acks,
        ceiling: Stamp::MAX,
        admits: true,
    })
}

fn bounded(epoch: u64) -> dr::Gate {
    open(epoch, Acks::Bounded { max_lag: MAX_LAG })
}

impl Table {
    fn new(gate: dr::Gate) -> Self {
        let clock = Arc::new(Hand::default());
        let table = Self { gate: AccountGate::new(MemberId::new(1), clock.clone()), clock };
        table.gate.set(gate);
        table
    }
    fn pass(&self, span: Span) {
        self.clock.0.fetch_add(span.us(), Ordering::SeqCst);
    }
    fn ask(&self, seq: u64) -> Receiver<Result<Durability, Refusal>> {
        let (sender, receiver) = channel();
        let done = move |result| sender.send(result).expect("the test listens");
        self.gate.acknowledgeable(Seq::new(seq), Box::new(done));
        receiver
    }
    /// `Prefer: durability=replicated`, for a second.
    fn ask_both(&self, seq: u64) -> Receiver<Result<Durability, Refusal>> {
        let (sender, receiver) = channel();
        let done = move |result| sender.send(result).expect("the test listens");
        self.gate.replicated(Seq::new(seq), Span::from_secs(1), Box::new(done));
        receiver
    }
    fn term(&self) -> Term {
        self.gate.admit().expect("open")
    }
}

#[test]
fn nothing_is_admitted_before_the_machine_spoke() {
    let gate = AccountGate::new(MemberId::new(1), Arc::new(Hand::default()));
    assert!(matches!(gate.admit(), Err(Refusal::Changing { .. })));
}

fn closed(epoch: u64) -> dr::Gate {
    dr::Gate::Closed { epoch: Epoch::new(epoch), why: Closed::NoLease }
}

/// A register that grows leaves the primary without a lease for a moment; the secondary says just
/// then that it has all, and on an idle account never again.
#[test]
fn what_the_secondary_says_while_the_gate_is_closed_counts_when_it_opens_again() {
    let table = Table::new(open(1, Acks::Local));
    table.gate.durable(Seq::new(2));
    table.gate.set(closed(1));
    table.gate.acked(Epoch::new(1), Seq::new(2));
    table.gate.set(bounded(1));
    assert_eq!(table.gate.waiting_since(), None);
    assert_eq!(table.ask(2).try_recv(), Ok(Ok(Durability::Replicated)));
}

#[test]
fn what_the_secondary_says_before_the_gate_opens_counts_in_its_epoch_only() {
    let table = Table::new(closed(2));
    table.gate.acked(Epoch::new(2), Seq::new(5));
    table.gate.set(bounded(2));
    table.gate.durable(Seq::new(5));
    assert_eq!(table.gate.waiting_since(), None);
    table.gate.set(closed(2));
    table.gate.acked(Epoch::new(2), Seq::new(6));
    table.gate.set(bounded(3));
    table.gate.durable(Seq::new(6));
    assert_eq!(table.gate.acked_to(), Seq::ZERO);
    assert!(table.gate.waiting_since().is_some());
    table.gate.set(closed(3));
    table.gate.acked(Epoch::new(3), Seq::new(7));
    table.gate.forget_secondary();
    table.gate.set(bounded(3));
    assert_eq!(table.gate.acked_to(), Seq::ZERO);
}

#[test]
fn in_async_an_answer_waits_only_when_the_bound_is_passed() {
    let table = Table::new(bounded(1));
    table.gate.durable(Seq::new(1));
    table.pass(Span::from_secs(4));
    table.gate.durable(Seq::new(2));
    assert_eq!(table.ask(2).try_recv(), Ok(Ok(Durability::Local)));
    let term = table.term();
    table.pass(Span::from_secs(2));
    assert!(matches!(table.gate.check_last(&term), Err(Refusal::Stalled { .. })));
    let waits = table.ask(2);
    assert!(waits.try_recv().is_err());
    table.gate.acked(Epoch::new(1), Seq::new(1));
    assert_eq!(waits.try_recv(), Ok(Ok(Durability::Local)), "the oldest is 2 s old now");
    assert_eq!(table.gate.check_last(&term), Ok(()));
    table.gate.acked(Epoch::new(1), Seq::new(2));
    assert_eq!(table.gate.acknowledgeable_now(Seq::new(2)), Some(Durability::Replicated));
    assert_eq!(table.gate.waiting_since(), None);
}

#[test]
fn m2_a_stall_ends_when_lagging_is_chosen_and_not_before() {
    let table = Table::new(bounded(1));
    table.gate.durable(Seq::new(1));
    table.pass(Span::from_secs(6));
    let waits = table.ask(1);
    table.gate.tick();
    assert!(waits.try_recv().is_err());
    table.gate.set(open(1, Acks::Local));
    assert_eq!(waits.try_recv(), Ok(Ok(Durability::Local)));
}

#[test]
fn e2_nothing_is_acknowledged_before_the_opening_commit_is() {
    let table = Table::new(open(3, Acks::Nothing));
    table.gate.durable(Seq::new(10));
    let waits = table.ask(10);
    let term = table.term();
    assert!(matches!(table.gate.check_last(&term), Err(Refusal::Stalled { .. })));
    table.gate.acked(Epoch::new(3), Seq::new(10));
    assert!(waits.try_recv().is_err(), "the machine says when, not the acknowledgement");
    table.gate.set(bounded(3));
    assert_eq!(waits.try_recv(), Ok(Ok(Durability::Replicated)));
}

#[test]
fn what_the_secondary_said_in_another_epoch_does_not_count() {
    let table = Table::new(bounded(1));
    table.gate.durable(Seq::new(5));
    table.gate.acked(Epoch::new(1), Seq::new(5));
    let why = Closed::NotPrimary;
    table.gate.set(dr::Gate::Closed { epoch: Epoch::new(2), why });
    table.gate.set(open(3, Acks::Nothing));
    table.gate.durable(Seq::new(6));
    assert!(table.gate.waiting_since().is_some());
    table.gate.acked(Epoch::new(1), Seq::new(6));
    assert_eq!(table.gate.acked_to(), Seq::ZERO);
}

#[test]
fn l3_the_lease_runs_out_by_itself() {
    let table = Table::new(bounded(1));
    let term = table.term();
    assert_eq!(table.gate.check_last(&term), Ok(()));
    table.pass(LEASE);
    assert!(matches!(table.gate.check_last(&term), Err(Refusal::NoLease { .. })));
    assert!(matches!(table.gate.admit(), Err(Refusal::NoLease { .. })));
}

#[test]
fn a_term_that_is_over_answers_nobody() {
    let table = Table::new(open(1, Acks::Nothing));
    let (term, waits) = (table.term(), table.ask(1));
    let epoch = Epoch::new(2);
    table.gate.set(dr::Gate::Closed { epoch, why: Closed::NotPrimary });
    assert_eq!(waits.try_recv(), Ok(Err(Refusal::NotPrimary { epoch })));
    assert_eq!(table.gate.check_last(&term), Err(Refusal::TermOver { epoch }));
    table.gate.set(bounded(3));
    assert_eq!(table.gate.check_last(&term), Err(Refusal::TermOver { epoch: Epoch::new(3) }));
}

#[test]
fn draining_admits_nothing_and_still_answers() {
    let table = Table::new(bounded(1));
    let term = table.term();
    let dr::Gate::Open(open) = bounded(1) else { panic!("open") };
    table.gate.set(dr::Gate::Open(dr::Term { admits: false, ..open }));
    assert!(matches!(table.gate.admit(), Err(Refusal::Changing { .. })));
    assert_eq!(table.gate.check_last(&term), Ok(()));
}

#[test]
fn without_a_secondary_no_write_waits_for_one() {
    let table = Table::new(bounded(1));
    let waits = table.ask_both(1);
    assert!(waits.try_recv().is_err());
    table.gate.set(open(1, Acks::Local));
    table.gate.follow(false);
    assert_eq!(waits.try_recv(), Ok(Ok(Durability::Local)));
    assert_eq!(table.ask_both(2).try_recv(), Ok(Ok(Durability::Local)));
    assert_eq!(table.gate.tick(), None);
    table.gate.follow(true);
    assert!(table.ask_both(3).try_recv().is_err());
}

#[test]
fn a_write_that_wants_both_copies_waits_so_long_and_stands() {
    let table = Table::new(bounded(1));
    let (first, second) = (table.ask_both(1), table.ask_both(2));
    table.gate.acked(Epoch::new(1), Seq::new(1));
    assert_eq!(first.try_recv(), Ok(Ok(Durability::Replicated)));
    assert_eq!(table.gate.tick(), Some(BootTime::ZERO + Span::from_secs(1)));
    assert!(second.try_recv().is_err());
    table.pass(Span::from_secs(1));
    assert_eq!(table.gate.tick(), None);
    assert_eq!(second.try_recv(), Ok(Ok(Durability::Local)));
}

#[test]
fn the_lag_is_told_while_it_bounds_what_is_acknowledged() {
    let table = Table::new(bounded(1));
    assert_eq!(table.gate.primary_lag(), Some(Span::ZERO));
    table.gate.durable(Seq::new(1));
    table.pass(Span::from_ms(30));
    assert_eq!(table.gate.primary_lag(), Some(Span::from_ms(30)));
    table.gate.acked(Epoch::new(1), Seq::new(1));
    assert_eq!(table.gate.primary_lag(), Some(Span::ZERO));
    table.gate.set(open(1, Acks::Local));
    assert_eq!(table.gate.primary_lag(), None);
}
