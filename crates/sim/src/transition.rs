//! Names what the protocol did, from the chosen values of the register as members learn of them.

use crate::Place;
use crate::scene::Scene;
use dr::{SecondaryState, Value, View};

/// Every transition that a batch of random runs must have gone through.
pub const TRANSITIONS: [&str; 12] = [
    "failover",
    "switchover",
    "raised by a start",
    "fork by a start",
    "in sync recorded",
    "lagging recorded",
    "seeding recorded",
    "seal left by a new attempt",
    "compute returns home",
    "compute leaves home",
    "return",
    "return with a tail",
];

/// The newest value seen, and whose compute was named last.
#[derive(Default)]
pub struct Watch {
    newest: Option<Value>,
    compute: Option<base::MemberId>,
}

impl Watch {
    /// Looks at what a member knows now.
    pub fn look(&mut self, scene: &mut Scene, place: Place, view: &View) {
        let Some(value) = &view.value else { return };
        if matches!(view.gate, dr::Gate::Open(_)) && view.compute != self.compute {
            self.compute = view.compute;
            let home = view.compute == Some(value.home);
            scene.count(if home { "compute returns home" } else { "compute leaves home" });
        }
        let newer = self.newest.as_ref().is_none_or(|newest| {
            (value.reign, value.version.counter) > (newest.reign, newest.version.counter)
        });
        if !newer {
            return;
        }
        if let Some(old) = self.newest.replace(value.clone()) {
            scene.note(place, || {
                format!(
                    "learns epoch {} primary {} {:?} attempt {} fork {} ({})",
                    value.reign.epoch,
                    value.primary.member.get(),
                    value.secondary_state,
                    value.attempt,
                    value.fork,
                    value.version.counter,
                )
            });
            name(scene, &old, value);
        }
    }
}

fn name(scene: &mut Scene, old: &Value, new: &Value) {
    if new.reign != old.reign {
        if new.primary.member == old.primary.member {
            scene.count("raised by a start");
            if new.fork != old.fork {
                scene.count("fork by a start");
            }
        } else if new.fork == old.fork {
            scene.count("switchover");
        } else {
            scene.count("failover");
        }
    } else if new.attempt != old.attempt {
        scene.count("seal left by a new attempt");
    }
    if new.secondary_state != old.secondary_state {
        scene.count(match new.secondary_state {
            SecondaryState::InSync => "in sync recorded",
            SecondaryState::Lagging => "lagging recorded",
            SecondaryState::Seeding => "seeding recorded",
            SecondaryState::Diverged => "diverged recorded",
            SecondaryState::None => "alone recorded",
        });
    }
}
