//! What goes wrong, and when: each seed has its own plan.

use crate::{Chance, Moment, Place};
use base::{Rng as _, Span};
use std::fmt;

/// A kind of fault, for counting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FaultKind {
    /// One direction of one link between members is cut.
    CutOneWay,
    /// Both directions of one link between members are cut.
    CutLink,
    /// A member is cut off from everybody.
    Isolate,
    /// A member hears nothing, but is heard.
    Deafen,
    /// A process ends and starts again; its machine lives on.
    Kill,
    /// A machine loses power with what it had not synced, and boots again.
    PowerLoss,
    /// A process stands still, and goes on.
    Pause,
    /// A boot-time clock runs too fast or too slow, within ε.
    Drift,
    /// A wall clock jumps.
    WallJump,
    /// Messages are lost.
    Loss,
    /// A link becomes slow.
    Delay,
    /// Messages overtake others.
    Reorder,
    /// Messages arrive twice.
    Duplicate,
    /// Syncs become slow.
    SlowDisk,
    /// A gateway ends with what it held, and starts again.
    GatewayKill,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::CutOneWay,
        Self::CutLink,
        Self::Isolate,
        Self::Deafen,
        Self::Kill,
        Self::PowerLoss,
        Self::Pause,
        Self::Drift,
        Self::WallJump,
        Self::Loss,
        Self::Delay,
        Self::Reorder,
        Self::Duplicate,
        Self::SlowDisk,
        Self::GatewayKill,
    ];
}

/// One fault with its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// Whom it strikes; of links, the side that sends.
    pub place: Place,
    /// The other side of the link, if it is one.
    pub peer: Place,
    /// How strong, by kind: milliseconds of a jump or delay, parts in a million of loss or drift.
    pub amount: i64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} ", self.kind, self.place)?;
        if self.peer != self.place {
            write!(f, "→ {} ", self.peer)?;
        }
        write!(f, "({})", self.amount)
    }
}

/// What an operator asks for in a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Order {
    /// A switchover to the region that is not primary.
    Switchover,
    /// A switchover to the home region.
    Failback,
}

/// One thing of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Planned {
    /// A fault begins.
    Strike(Fault),
    /// It ends.
    Mend(Fault),
    /// An operator asks.
    Order(Order),
}

/// The plan of one random run: what happens when, all mended before `until`.
#[must_use]
pub fn plan(chance: &mut Chance, from: Moment, until: Moment) -> Vec<(Moment, Planned)> {
    let mut planned = Vec::new();
    let room = until.since(from).us();
    let faults = chance.between(3, 8);
    for _ in 0..faults {
        let fault = draw(chance);
        let begin = chance.below(room * 9 / 10);
        let longest = if chance.happens(300_000) { 20_000_000 } else { 6_000_000 };
        let end = (begin + chance.between(20_000, longest)).min(room);
        planned.push((from + Span::from_us(begin), Planned::Strike(fault)));
        planned.push((from + Span::from_us(end), Planned::Mend(fault)));
    }
    if chance.happens(350_000) {
        blow(chance, from, room, &mut planned);
    }
    for (order, ppm) in [(Order::Switchover, 300_000), (Order::Failback, 150_000)] {
        if chance.happens(ppm) {
            let at = from + Span::from_us(chance.below(room));
            planned.push((at, Planned::Order(order)));
        }
    }
    planned
}

/// A link between the regions fails, and soon after one of them: what makes tails.
fn blow(chance: &mut Chance, from: Moment, room: u64, planned: &mut Vec<(Moment, Planned)>) {
    let (east, west) = (Place::East, Place::West);
    let link = chance.pick(&[FaultKind::CutLink, FaultKind::CutOneWay, FaultKind::Delay]);
    let region = chance.pick(&[east, east, west]);
    let (place, peer) = (region, region.other_region());
    let first = Fault { kind: link, place, peer, amount: 2_000 };
    let kinds = [FaultKind::Kill, FaultKind::PowerLoss, FaultKind::Isolate, FaultKind::Pause];
    let kind = chance.pick(&kinds);
    let second = Fault { kind, place: region, peer: region, amount: 0 };
    let begin = chance.below(room * 7 / 10);
    let then = begin + chance.between(100_000, 5_000_000);
    let end = then + chance.between(500_000, 15_000_000);
    let mut at = |us: u64, what| planned.push((from + Span::from_us(us.min(room)), what));
    at(begin, Planned::Strike(first));
    at(then, Planned::Strike(second));
    at(end, Planned::Mend(second));
    at(end + 500_000, Planned::Mend(first));
}

/// One fault, each kind equally likely, regions struck more often than the witness.
fn draw(chance: &mut Chance) -> Fault {
    let kind = chance.pick(&FaultKind::ALL);
    let regions = [Place::East, Place::West, Place::East, Place::West, Place::Witness];
    let place = match kind {
        FaultKind::GatewayKill => chance.pick(&Place::GATEWAYS),
        _ => chance.pick(&regions),
    };
    let others: Vec<Place> = Place::MEMBERS.into_iter().filter(|peer| *peer != place).collect();
    let links = [FaultKind::CutOneWay, FaultKind::CutLink, FaultKind::Delay].contains(&kind);
    let peer = if links { chance.pick(&others) } else { place };
    let ppm = i64::try_from(chance.between(20_000, 300_000)).unwrap_or(0);
    let sign = if chance.happens(500_000) { 1 } else { -1 };
    let amount = match kind {
        FaultKind::Drift => sign * 9_900,
        FaultKind::WallJump => sign * i64::try_from(chance.between(50, 7_200_000)).unwrap_or(0),
        FaultKind::Loss | FaultKind::Reorder | FaultKind::Duplicate => ppm,
        FaultKind::Delay => i64::try_from(chance.between(50, 2_000)).unwrap_or(0),
        FaultKind::SlowDisk => i64::try_from(chance.between(20, 800)).unwrap_or(0),
        _ => 0,
    };
    Fault { kind, place, peer, amount }
}
