//! A gateway: the real routing, holding and retrying, and around it messages instead of sockets.

use crate::client::{Ask, Reply, Told, Want};
use crate::machine::{member_id, place_of};
use crate::packet::Packet;
use crate::process::account_name;
use crate::scene::{Happening, Scene};
use crate::{Moment, Place, RequestId};
use base::{BootTime, Span};
use gateway::{Applied, Ended, Exchange, Next, Repeat, Routes, Target, Verdict};
use std::collections::BTreeMap;

/// How long a request is held.
const HOLD: Span = Span::from_secs(10);
/// How often regions are asked how they stand.
const PROBE: Span = Span::from_ms(250);
/// A region that was not heard for so long is given up, with what is under way to it.
const SILENCE: Span = Span::from_ms(1500);

struct Held {
    ask: Ask,
    exchange: Exchange,
    under_way: Option<(Target, BootTime)>,
}

/// A gateway.
pub struct Gateway {
    place: Place,
    routes: Routes,
    heard: [BootTime; 2],
    held: BTreeMap<(RequestId, u32), Held>,
    wakes_at: Moment,
}

/// Its clock; nothing depends on how fast it runs.
const fn clock(now: Moment) -> BootTime {
    BootTime::from_us(now.us())
}

impl Gateway {
    /// A process that starts now and knows nothing.
    #[must_use]
    pub fn start(place: Place, now: Moment) -> Self {
        let mut routes = Routes::default();
        for region in Place::REGIONS {
            routes.add_region(member_id(region), region.name(), region.name());
        }
        let heard = [clock(now); 2];
        Self { place, routes, heard, held: BTreeMap::new(), wakes_at: Moment::START }
    }

    /// Asks the regions how they stand.
    pub fn probe(&mut self, scene: &mut Scene) {
        let now = clock(scene.now());
        for region in Place::REGIONS {
            scene.send(self.place, region, Packet::Probe);
        }
        for held in self.held.values_mut() {
            let Some((target, since)) = held.under_way else { continue };
            let heard = place_of(target.region).map_or(now, |place| self.heard[place.index()]);
            let silent = now.since(heard) >= SILENCE && now.since(since) >= SILENCE;
            if silent || self.routes.overtaken(held.exchange.account(), target) {
                self.routes.failed(target, now);
                held.under_way = None;
                // Whether it may go on is asked again when it is its turn.
                let _ = held.exchange.after(Ended::Lost, now);
            }
        }
        scene.agenda.after(PROBE, Happening::Probe(self.place));
        self.pump(scene);
    }

    /// A message came.
    pub fn receive(&mut self, scene: &mut Scene, from: Place, packet: &Packet) {
        let now = clock(scene.now());
        match packet {
            Packet::Ask(ask) => {
                let repeat = if ask.want == Want::Read { Repeat::Safe } else { Repeat::Keyed };
                let exchange = Exchange::new(account_name(), repeat, now + HOLD);
                let held = Held { ask: *ask, exchange, under_way: None };
                self.held.insert((ask.request, ask.attempt), held);
            }
            // The client is gone: so is its request, as far as it is here.
            Packet::Cancel(ask) => {
                self.held.remove(&(ask.request, ask.attempt));
            }
            Packet::Status(status) => {
                self.heard[from.index()] = now;
                if self.routes.learn(member_id(from), status, now) {
                    self.held.values_mut().for_each(|held| held.exchange.news());
                }
            }
            Packet::Reply(reply) => self.hear(scene, from, reply),
            _ => {}
        }
        self.pump(scene);
    }

    fn hear(&mut self, scene: &mut Scene, from: Place, reply: &Reply) {
        let now = clock(scene.now());
        let key = (reply.request, reply.attempt);
        let Some(held) = self.held.get_mut(&key) else { return };
        let Some((target, _)) = held.under_way else { return };
        if target.region != member_id(from) {
            return;
        }
        let (status, applied) = match reply.told {
            Told::Done(_) | Told::Shown(_) => (200, None),
            Told::Precondition => (412, None),
            Told::NotPrimary(_) => (421, Some(Applied::No)),
            Told::NotApplied => (503, Some(Applied::No)),
            Told::Unknown => (503, Some(Applied::Unknown)),
        };
        if let Told::NotPrimary(Some((epoch, primary))) = reply.told {
            self.routes.refused(held.exchange.account(), epoch, primary);
        }
        if matches!(status, 421 | 503) {
            self.routes.failed(target, now);
        } else {
            self.routes.answered(target.region);
        }
        held.under_way = None;
        match held.exchange.after(Ended::Answered { status, applied }, now) {
            Verdict::Again => {}
            Verdict::Pass => {
                self.held.remove(&key);
                scene.send(self.place, Place::Clients, Packet::Reply(*reply));
            }
            Verdict::GiveUp(applied) => self.give_up(scene, key, applied),
        }
    }

    fn give_up(&mut self, scene: &mut Scene, key: (RequestId, u32), applied: Applied) {
        self.held.remove(&key);
        let told = if applied == Applied::No { Told::NotApplied } else { Told::Unknown };
        let reply = Reply { request: key.0, attempt: key.1, told };
        scene.send(self.place, Place::Clients, Packet::Reply(reply));
    }

    /// Sends what can be sent now; plans when to look again.
    pub fn pump(&mut self, scene: &mut Scene) {
        let now = clock(scene.now());
        let mut wake = None;
        let keys: Vec<(RequestId, u32)> = self.held.keys().copied().collect();
        for key in keys {
            let Some(held) = self.held.get_mut(&key) else { continue };
            if held.under_way.is_some() {
                continue;
            }
            match held.exchange.next(&self.routes, now) {
                Next::Send(target) => {
                    held.under_way = Some((target, now));
                    let to = place_of(target.region).expect("only regions are known");
                    scene.send(self.place, to, Packet::Ask(held.ask));
                }
                Next::Wait(at) => wake = Some(wake.map_or(at, |wake: BootTime| wake.min(at))),
                Next::NoSuchAccount => self.give_up(scene, key, Applied::No),
                Next::GiveUp(applied) => self.give_up(scene, key, applied),
            }
        }
        if let Some(wake) = wake {
            let at = Moment::from_us(wake.us().max(now.us() + 1));
            if self.wakes_at <= scene.now() || at < self.wakes_at {
                self.wakes_at = at;
                scene.agenda.at(at, Happening::Gateway(self.place));
            }
        }
    }
}
