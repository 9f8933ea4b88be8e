//! Seeded random runs.

use base::Hash;
use dr::Bugs;
use sim::{run_batch, run_seed, setup_of};

/// Seeds of the test run.
const SEEDS: u64 = 2000;

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 77] {
        let hashes: Vec<Hash> =
            (0..2).map(|_| run_seed(setup_of(seed, Bugs::NONE, true), |_| {}).trace).collect();
        assert_eq!(hashes[0], hashes[1], "seed {seed}");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the summary is what a reader of the test run wants")]
fn two_thousand_seeds_keep_every_promise() {
    let batch = run_batch(0, SEEDS, 5, Bugs::NONE);
    println!("{batch}");
    let failures: Vec<String> = batch
        .failures
        .iter()
        .map(|(seed, broken)| format!("cargo xtask sim replay {seed}: {}", broken[0]))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(batch.seeds, SEEDS);
    assert!(batch.shortest_s >= 60, "each run lasts 60 simulated seconds");
    assert!(batch.acknowledged >= 200 * SEEDS, "200 acknowledged writes on average");
    assert!(batch.faults.values().sum::<u64>() >= 3 * SEEDS, "3 faults on average");
    assert_eq!(batch.untouched(), Vec::<String>::new(), "never exercised");
}
