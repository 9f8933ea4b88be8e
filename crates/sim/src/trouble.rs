//! Faults as they strike the world, and how they are mended.

use crate::fault::{Fault, FaultKind, Order};
use crate::gateway::Gateway;
use crate::machine::member_id;
use crate::process::account_name;
use crate::scene::Happening;
use crate::world::{World, gateway_index};
use crate::{EXACT_PPM, Place};
use base::{Rng as _, Span};
use dr::Request;

impl World {
    /// Ends a process: by a kill, or by a loss of power that takes what was not synced.
    pub fn end(&mut self, place: Place, power_lost: bool) {
        self.scene.note(place, || format!("ends (power lost: {power_lost})"));
        self.machines[place.index()].resume();
        if self.processes[place.index()].take().is_some() {
            self.machines[place.index()].end_process(power_lost);
        }
    }

    /// A process stands still.
    pub fn pause(&mut self, place: Place) {
        self.machines[place.index()].pause();
    }

    /// A process goes on, first with what came meanwhile.
    pub fn resume(&mut self, place: Place) {
        let now = self.scene.now();
        for happening in self.machines[place.index()].resume() {
            self.scene.agenda.at(now, happening);
        }
    }

    /// Everything is mended: links, clocks' rates, disks, processes.
    pub fn heal(&mut self) {
        let now = self.scene.now();
        self.scene.trace.note(now, || "everything is healed".to_owned());
        self.scene.network.heal();
        for place in Place::MEMBERS {
            let machine = &mut self.machines[place.index()];
            machine.slow = Span::ZERO;
            machine.clock.set_rate(now, EXACT_PPM);
            self.resume(place);
            self.start(place);
        }
    }

    /// A fault begins.
    pub fn strike(&mut self, fault: &Fault) {
        self.scene.note(fault.place, || format!("is struck by {fault}"));
        *self.scene.counts.faults.entry(fault.kind).or_default() += 1;
        let (now, place, peer) = (self.scene.now(), fault.place, fault.peer);
        let amount = u32::try_from(fault.amount.unsigned_abs()).unwrap_or(u32::MAX);
        match fault.kind {
            FaultKind::CutOneWay => self.network().link(place, peer).cut = true,
            FaultKind::CutLink => {
                self.network().link(place, peer).cut = true;
                self.network().link(peer, place).cut = true;
            }
            FaultKind::Isolate => self.network().isolate(place),
            FaultKind::Deafen => self.network().deafen(place),
            FaultKind::Kill => {
                self.end(place, false);
                self.start_later(place, 20_000);
            }
            FaultKind::PowerLoss if self.scene.chance.happens(500_000) => {
                // In the middle of what it writes next.
                let changes = self.scene.chance.below(12);
                self.machines[place.index()].disk.cut_power_after(changes);
            }
            FaultKind::PowerLoss => {
                self.end(place, true);
                let boot_us = self.scene.chance.below(5_000_000);
                self.machines[place.index()].clock.reboot(now, boot_us);
            }
            FaultKind::Pause => self.pause(place),
            FaultKind::Drift => {
                let rate = EXACT_PPM.saturating_add_signed(fault.amount);
                self.machines[place.index()].clock.set_rate(now, rate);
            }
            FaultKind::WallJump => self.machines[place.index()].clock.jump_wall(fault.amount),
            FaultKind::Loss => self.network().around(place, |link| link.loss_ppm = amount),
            FaultKind::Duplicate => {
                self.network().around(place, |link| link.duplicate_ppm = amount);
            }
            FaultKind::Reorder => self.network().around(place, |link| {
                (link.straggle_ppm, link.straggle) = (amount, Span::from_ms(3000));
            }),
            FaultKind::Delay => {
                let delay = Span::from_ms(u64::from(amount));
                self.network().link(place, peer).delay = delay;
                self.network().link(peer, place).delay = delay;
            }
            FaultKind::SlowDisk => {
                self.machines[place.index()].slow = Span::from_ms(u64::from(amount));
            }
            FaultKind::GatewayKill => {
                self.gateways[gateway_index(place)] = Gateway::start(place, now);
            }
        }
    }

    fn start_later(&mut self, place: Place, us: u64) {
        self.scene.agenda.after(Span::from_us(us), Happening::Start(place));
    }

    /// A fault ends.
    pub fn mend(&mut self, fault: &Fault) {
        self.scene.note(fault.place, || format!("is mended of {fault}"));
        let (now, place, peer) = (self.scene.now(), fault.place, fault.peer);
        match fault.kind {
            FaultKind::CutOneWay => self.network().link(place, peer).cut = false,
            FaultKind::CutLink => {
                self.network().link(place, peer).cut = false;
                self.network().link(peer, place).cut = false;
            }
            FaultKind::Isolate | FaultKind::Deafen => {
                self.network().around(place, |link| link.cut = false);
            }
            FaultKind::Kill => self.start(place),
            FaultKind::PowerLoss => {
                self.end(place, true);
                self.start(place);
            }
            FaultKind::Pause => self.resume(place),
            FaultKind::Drift => self.machines[place.index()].clock.set_rate(now, EXACT_PPM),
            FaultKind::WallJump => self.machines[place.index()].clock.jump_wall(-fault.amount),
            FaultKind::GatewayKill => {}
            FaultKind::Loss => self.network().around(place, |link| link.loss_ppm = 0),
            FaultKind::Duplicate => self.network().around(place, |link| link.duplicate_ppm = 0),
            FaultKind::Reorder => self.network().around(place, |link| link.straggle_ppm = 0),
            FaultKind::Delay => {
                let delay = crate::Link::good().delay;
                self.network().link(place, peer).delay = delay;
                self.network().link(peer, place).delay = delay;
            }
            FaultKind::SlowDisk => self.machines[place.index()].slow = Span::ZERO,
        }
    }

    /// An operator asks whoever acts.
    pub fn order(&mut self, order: Order) {
        let Some(writer) = self.writer() else { return };
        let account = account_name();
        let request = match order {
            Order::Switchover => {
                let to = member_id(writer.other_region());
                Request::Switchover { account, to, replaces: None }
            }
            Order::Failback => Request::Failback { account, replaces: None },
        };
        self.ask_operator(writer, request);
    }
}
