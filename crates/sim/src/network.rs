//! The links between places: delay, loss, reordering, duplication, and cuts of one direction.

use crate::{Chance, Moment, Place};
use base::Span;

/// How one direction of a link behaves.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Nothing gets through.
    pub cut: bool,
    /// The shortest time under way.
    pub delay: Span,
    /// What chance adds to it, at most.
    pub jitter: Span,
    /// Messages lost in a million.
    pub loss_ppm: u32,
    /// Messages that arrive twice, in a million.
    pub duplicate_ppm: u32,
    /// Messages in a million that come late, so that later ones overtake them.
    pub straggle_ppm: u32,
    /// How late a straggler comes at most.
    pub straggle: Span,
}

impl Link {
    /// A good link.
    #[must_use]
    pub const fn good() -> Self {
        Self {
            cut: false,
            delay: Span::from_us(800),
            jitter: Span::from_us(700),
            loss_ppm: 0,
            duplicate_ppm: 0,
            straggle_ppm: 0,
            straggle: Span::ZERO,
        }
    }
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives once.
    Once(Moment),
    /// It arrives twice.
    Twice(Moment, Moment),
}

/// What the links did to messages, for the summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Messages given to the network.
    pub sent: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost at a cut.
    pub cut: u64,
    /// Delivered twice.
    pub duplicated: u64,
    /// Overtaken by later ones.
    pub straggled: u64,
}

/// All directed links.
pub struct Network {
    links: [[Link; Place::COUNT]; Place::COUNT],
    chance: Chance,
    /// What happened to messages so far.
    pub traffic: Traffic,
}

impl Network {
    /// Good links everywhere.
    #[must_use]
    pub const fn new(chance: Chance) -> Self {
        let links = [[Link::good(); Place::COUNT]; Place::COUNT];
        let traffic = Traffic { sent: 0, lost: 0, cut: 0, duplicated: 0, straggled: 0 };
        Self { links, chance, traffic }
    }
    /// One direction of a link.
    pub const fn link(&mut self, from: Place, to: Place) -> &mut Link {
        &mut self.links[from.index()][to.index()]
    }
    /// True when nothing gets from one to the other.
    #[must_use]
    pub const fn is_cut(&self, from: Place, to: Place) -> bool {
        self.links[from.index()][to.index()].cut
    }
    /// Changes both directions of every link between a member and the others.
    pub fn around(&mut self, place: Place, mut change: impl FnMut(&mut Link)) {
        for other in Place::ALL.into_iter().filter(|other| *other != place) {
            change(self.link(place, other));
            change(self.link(other, place));
        }
    }
    /// Cuts a place off from everybody.
    pub fn isolate(&mut self, place: Place) {
        self.around(place, |link| link.cut = true);
    }
    /// Lets nothing get to a place.
    pub fn deafen(&mut self, place: Place) {
        for other in Place::ALL.into_iter().filter(|other| *other != place) {
            self.link(other, place).cut = true;
        }
    }
    /// All links are good again.
    pub const fn heal(&mut self) {
        self.links = [[Link::good(); Place::COUNT]; Place::COUNT];
    }
    /// Decides what becomes of a message sent now.
    pub fn send(&mut self, from: Place, to: Place, now: Moment) -> Fate {
        let link = self.links[from.index()][to.index()];
        self.traffic.sent += 1;
        if link.cut {
            self.traffic.cut += 1;
            return Fate::Lost;
        }
        if link.loss_ppm > 0 && self.chance.happens(link.loss_ppm) {
            self.traffic.lost += 1;
            return Fate::Lost;
        }
        let first = self.arrival(link, now);
        if link.duplicate_ppm > 0 && self.chance.happens(link.duplicate_ppm) {
            self.traffic.duplicated += 1;
            return Fate::Twice(first, self.arrival(link, now));
        }
        Fate::Once(first)
    }

    fn arrival(&mut self, link: Link, now: Moment) -> Moment {
        let mut delay = link.delay.us() + self.chance.between(0, link.jitter.us());
        if link.straggle_ppm > 0 && self.chance.happens(link.straggle_ppm) {
            self.traffic.straggled += 1;
            delay += self.chance.between(0, link.straggle.us());
        }
        now + Span::from_us(delay)
    }
}
