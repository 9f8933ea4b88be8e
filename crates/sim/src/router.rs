//! A gateway, for as long as the real core is not here: it sends an attempt to the region that
//! answered last, and tries the other when that refuses or is silent.

use crate::client::{Ask, Reply, Told};
use crate::packet::Packet;
use crate::scene::{Happening, Scene};
use crate::{Moment, Place, RequestId};
use base::Span;
use std::collections::BTreeMap;

/// How long an attempt is held.
const HOLD: Span = Span::from_ms(3500);
/// How long a region's silence is waited for.
const SILENCE: Span = Span::from_ms(1000);
/// How often what is held is tried again.
const LOOK: Span = Span::from_ms(100);

struct Held {
    ask: Ask,
    since: Moment,
    sent: Option<Moment>,
    unknown: bool,
}

/// A gateway.
pub struct Router {
    place: Place,
    target: Place,
    held: BTreeMap<(RequestId, u32), Held>,
}

impl Router {
    /// A gateway that knows nothing.
    #[must_use]
    pub const fn new(place: Place) -> Self {
        Self { place, target: Place::East, held: BTreeMap::new() }
    }

    /// A message came.
    pub fn receive(&mut self, scene: &mut Scene, from: Place, packet: &Packet) {
        match packet {
            Packet::Ask(ask) => {
                let held = Held { ask: *ask, since: scene.now(), sent: None, unknown: false };
                let first = self.held.is_empty();
                self.held.insert((ask.request, ask.attempt), held);
                if first {
                    scene.agenda.after(LOOK, Happening::Gateway(self.place));
                }
                self.try_again(scene);
            }
            Packet::Reply(reply) => self.hear(scene, from, reply),
            _ => {}
        }
    }

    fn hear(&mut self, scene: &mut Scene, from: Place, reply: &Reply) {
        let key = (reply.request, reply.attempt);
        let Some(held) = self.held.get_mut(&key) else { return };
        match reply.told {
            Told::NotApplied | Told::Unknown => {
                held.unknown |= reply.told == Told::Unknown;
                if from == self.target {
                    self.target = from.other_region();
                }
                held.sent = None;
            }
            _ => {
                self.target = from;
                self.held.remove(&key);
                scene.send(self.place, Place::Clients, Packet::Reply(*reply));
            }
        }
    }

    /// Looks at what is held; `true` to be called again.
    pub fn look(&mut self, scene: &mut Scene) {
        let now = scene.now();
        if self.held.values().any(|held| silent(held, now)) {
            self.target = self.target.other_region();
        }
        for held in self.held.values_mut() {
            if silent(held, now) {
                held.unknown = true;
                held.sent = None;
            }
        }
        let given_up: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| now.since(held.since) >= HOLD)
            .map(|(key, held)| (*key, held.unknown || held.sent.is_some()))
            .collect();
        for ((request, attempt), unknown) in given_up {
            self.held.remove(&(request, attempt));
            let told = if unknown { Told::Unknown } else { Told::NotApplied };
            let reply = Reply { request, attempt, told };
            scene.send(self.place, Place::Clients, Packet::Reply(reply));
        }
        self.try_again(scene);
        if !self.held.is_empty() {
            scene.agenda.after(LOOK, Happening::Gateway(self.place));
        }
    }

    fn try_again(&mut self, scene: &mut Scene) {
        let now = scene.now();
        for held in self.held.values_mut().filter(|held| held.sent.is_none()) {
            held.sent = Some(now);
            scene.send(self.place, self.target, Packet::Ask(held.ask));
        }
    }

    /// The process ends with what it held, and starts again.
    pub fn restart(&mut self) {
        self.held.clear();
    }
}

fn silent(held: &Held, now: Moment) -> bool {
    held.sent.is_some_and(|sent| now.since(sent) >= SILENCE)
}
