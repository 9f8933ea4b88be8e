//! Stories: a few lines that say what happens, and what must come of it.
//!
//! ```no_run
//! use sim::{Place::{East, West}, Story};
//! let mut t = Story::new();
//! t.cut(East, West);
//! t.write(East, 3);
//! t.heal();
//! t.expect_one_writer();
//! ```

use crate::client::{Client, Habits};
use crate::ledger::Subject;
use crate::machine::member_id;
use crate::process::account_name;
use crate::{Moment, Outcome, Place, RequestId, Setup, Want, World};
use base::Span;
use dr::Request;

/// How long a story waits for what must come.
const PATIENCE: Span = Span::from_secs(30);

/// A world with one client that does as it is told, and as many others as wanted. East is home
/// and primary, west in sync, when a story begins.
pub struct Story {
    /// The world.
    pub world: World,
    written: Vec<RequestId>,
}

impl Default for Story {
    fn default() -> Self {
        Self::new()
    }
}

impl Story {
    /// The usual beginning.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Setup::of_seed(1))
    }

    /// A beginning of one's own.
    #[must_use]
    pub fn with(setup: Setup) -> Self {
        let mut world = World::new(Setup { traced: true, ..setup });
        let chance = world.scene.chance.split();
        let mut client = Client::new(Habits { attempts_max: 1000, ..setup.habits }, chance, &[]);
        client.stop();
        world.clients.push(client);
        world.found_account();
        Self { world, written: Vec::new() }
    }

    /// Other clients begin to read and write by themselves.
    pub fn open_doors(&mut self) {
        self.world.open_doors();
    }

    /// Time passes.
    pub fn pass(&mut self, span: Span) {
        self.world.run_for(span);
    }
    /// Both directions of a link are cut.
    pub fn cut(&mut self, one: Place, other: Place) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }
    /// Nothing gets from one to the other.
    pub const fn cut_one_way(&mut self, from: Place, to: Place) {
        self.world.network().link(from, to).cut = true;
    }
    /// A place is cut off from everybody.
    pub fn isolate(&mut self, place: Place) {
        self.world.network().isolate(place);
    }
    /// A place hears nothing.
    pub fn deafen(&mut self, place: Place) {
        self.world.network().deafen(place);
    }
    /// Everything is mended, and every member runs.
    pub fn heal(&mut self) {
        self.world.heal();
    }
    /// A process ends.
    pub fn kill(&mut self, place: Place) {
        self.world.end(place, false);
    }
    /// A machine loses power.
    pub fn power_off(&mut self, place: Place) {
        self.world.end(place, true);
    }
    /// A process starts.
    pub fn start(&mut self, place: Place) {
        self.world.start(place);
    }

    /// Writes so many resources one after the other; each is acknowledged by this region.
    pub fn write(&mut self, by: Place, count: usize) {
        for _ in 0..count {
            let request = self.begin_write();
            let limit = self.world.scene.now() + PATIENCE;
            let done = self.world.run_until(limit, |world| !world.clients[0].is_waiting());
            assert!(done, "no answer to {request} within {PATIENCE}\n{}", self.tail());
            let acks = &self.world.scene.ledger.acknowledged;
            let by_whom = acks.iter().rev().find(|(id, _)| *id == request);
            let by_whom = by_whom.map(|(_, ack)| ack.actor.place);
            assert_eq!(by_whom, Some(by), "{request} was acknowledged\n{}", self.tail());
        }
    }

    /// Sends a write and does not wait.
    pub fn begin_write(&mut self) -> RequestId {
        let (request, subject): (RequestId, Subject) =
            (self.world.fresh_request(), self.world.fresh_subject());
        let now = self.world.scene.now();
        let deed = self.world.clients[0].begin(now, request, subject, Want::Put);
        self.world.client_does(0, Some(deed));
        self.written.push(request);
        request
    }

    /// The operator asks for a switchover, which succeeds.
    pub fn switch_over(&mut self, to: Place) {
        let from = self.world.writer().expect("somebody acts");
        let (account, to) = (account_name(), member_id(to));
        self.operate(from, Request::Switchover { account, to, replaces: None });
    }
    /// The operator asks for a failback, which succeeds.
    pub fn fail_back(&mut self) {
        let from = self.world.writer().expect("somebody acts");
        self.operate(from, Request::Failback { account: account_name(), replaces: None });
    }

    fn operate(&mut self, place: Place, request_for: Request) {
        let request = self.world.ask_operator(place, request_for);
        let limit = self.world.scene.now() + PATIENCE;
        self.world.run_until(limit, |world| world.reply_to(place, request).is_some());
        let outcome = self.world.reply_to(place, request);
        assert!(matches!(outcome, Some(Ok(_))), "{outcome:?}\n{}", self.tail());
    }

    /// This region acts within a span.
    pub fn expect_writer(&mut self, place: Place, within: Span) {
        let limit = self.world.scene.now() + within;
        let acts = self.world.run_until(limit, |world| world.writer() == Some(place));
        assert!(acts, "{place} does not act within {within}\n{}", self.tail());
    }
    /// One region acts, the other is in sync, compute is at home.
    pub fn expect_one_writer(&mut self) {
        let limit = self.world.scene.now() + PATIENCE;
        let settled = self.world.run_until(limit, World::is_settled);
        assert!(settled, "not settled within {PATIENCE}\n{}", self.tail());
    }
    /// So many times the protocol did this.
    pub fn expect_count(&self, transition: &'static str, count: u64) {
        let counted = self.world.scene.counts.transitions.get(transition).copied().unwrap_or(0);
        assert_eq!(counted, count, "{transition}\n{}", self.tail());
    }
    /// No client was told that a write failed or is unknown.
    pub fn expect_nothing_refused(&self) {
        let disappointed = self.world.scene.counts.disappointed;
        assert_eq!(disappointed, 0, "attempts that failed\n{}", self.tail());
    }
    /// True time.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.world.scene.now()
    }

    /// Heals, waits for convergence, and asks every checker.
    pub fn judge(mut self) -> Outcome {
        let outcome = self.world.converge_and_judge(PATIENCE);
        let violations: Vec<String> =
            self.world.scene.ledger.violations.iter().map(ToString::to_string).collect();
        assert!(violations.is_empty(), "{}\n{}", violations.join("\n"), self.tail());
        outcome
    }

    /// The end of the readable log.
    fn tail(&self) -> String {
        self.world.scene.trace.tail(2000)
    }
}
