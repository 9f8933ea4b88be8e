//! `sim run SEEDS FROM`, `sim replay SEED`, `sim power SEEDS`: what `cargo xtask sim` calls.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use dr::Bugs;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<u64>().ok());
    match (arguments.first().map(String::as_str), number(1), number(2)) {
        (Some("run"), Some(seeds), from) => run(seeds, from.unwrap_or(0)),
        (Some("replay"), Some(seed), _) => replay(seed),
        #[cfg(feature = "planted")]
        (Some("power"), Some(seeds), _) => power(seeds),
        _ => {
            eprintln!(
                "usage: sim run SEEDS [FROM] | replay SEED | power SEEDS (with planted bugs)"
            );
            ExitCode::from(2)
        }
    }
}

fn run(seeds: u64, from: u64) -> ExitCode {
    let batch = sim::run_batch(from, seeds, 10, Bugs::NONE);
    println!("{batch}");
    for (seed, violations) in &batch.failures {
        println!("seed {seed} failed; replay with: cargo xtask sim replay {seed}");
        for violation in violations {
            println!("  {violation}");
        }
    }
    let untouched = batch.untouched();
    if !untouched.is_empty() {
        println!("never exercised: {}", untouched.join(", "));
    }
    if batch.failures.is_empty() && untouched.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn replay(seed: u64) -> ExitCode {
    let report = sim::run_seed(sim::setup_of(seed, Bugs::NONE, true), |log| println!("{log}"));
    println!("{:?}", report.outcome);
    for violation in &report.violations {
        println!("{violation}");
    }
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(feature = "planted")]
fn power(seeds: u64) -> ExitCode {
    // What the code under test asserts in a run is caught and judged; its messages are noise here.
    std::panic::set_hook(Box::new(|_| {}));
    let mut all = true;
    for plant in sim::PLANTS {
        let found = match (plant.finder, sim::hunt(plant, seeds)) {
            (_, Some(found)) => found.to_string(),
            (sim::Finder::Schedule(name), None) => format!("directed schedule {name}"),
            (sim::Finder::Runs(_), None) => {
                all = false;
                format!("NOT FOUND in {seeds} seeds")
            }
        };
        println!("{:36} {found}", plant.name);
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
