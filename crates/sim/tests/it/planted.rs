//! Each planted bug is found: by seeded runs here, or by a directed schedule of `dr`.

use sim::{Finder, PLANTS, hunt};

/// The protocol's own schedules, each of which fails without its rule.
const SCHEDULES: &str = include_str!("../../../dr/tests/it/schedules.rs");
/// Seeds within which a plant must be found.
const SEEDS: u64 = 600;

#[test]
#[expect(clippy::print_stdout, reason = "what found which bug is what a reader wants to know")]
fn every_planted_bug_is_found() {
    assert!(PLANTS.len() >= 16);
    let mut missed = Vec::new();
    for plant in PLANTS {
        match plant.finder {
            Finder::Runs(checkers) => match hunt(plant, SEEDS) {
                Some(found) => println!("{:36} {found}", plant.name),
                None => missed.push(format!("{}: {checkers:?} did not fire", plant.name)),
            },
            Finder::Schedule(name) => {
                // The schedule is one that fails without this very rule.
                let rule = plant.rule.map(|rule| format!("Bug::{rule:?}")).unwrap_or_default();
                let body = SCHEDULES.split(&format!("fn {name}()")).nth(1);
                let body = body.and_then(|body| body.split("\nfn ").next()).unwrap_or_default();
                if body.contains("needs(") && body.contains(&rule) {
                    println!("{:36} directed schedule {name}", plant.name);
                } else {
                    missed.push(format!("{}: no schedule {name} needs {rule}", plant.name));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
