//! `cargo xtask soak`: the long forms of what the test run shows in short, each on its own.

mod counts;
mod demos;

use crate::shell;
use std::path::PathBuf;

/// What to repeat, and how often.
#[derive(clap::Subcommand)]
pub enum Arguments {
    /// Runs `firebreak demo` again and again with random kill times; recounts each from outside.
    Demos(demos::Arguments),
    /// Loads a folder of bundles into `firebreak serve`, and compares each type's count by search
    /// with a count made from the files.
    Counts {
        /// Folder of bundles: *.json or *.json.bz2.
        #[arg(long, default_value = "data/synthea")]
        dir: PathBuf,
    },
    /// Kills a server under load, takes back random unsynced pages, and looks for what it had
    /// acknowledged.
    Kills {
        /// How many kills.
        #[arg(long, default_value_t = 50)]
        kills: u32,
    },
}

/// Repeats.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match arguments {
        Arguments::Demos(arguments) => demos::run(arguments),
        Arguments::Counts { dir } => counts::run(dir),
        Arguments::Kills { kills } => {
            let count = format!("FIREBREAK_KILLS={kills}");
            let test = ["cargo", "test", "--locked", "--package", "firebreak", "--test", "it"];
            let name =
                "durable::a_kill_that_loses_random_unsynced_pages_loses_nothing_acknowledged";
            let mut command = vec![count.as_str()];
            command.extend(test);
            command.extend(["--", "--exact", name]);
            shell::run("env", &command)?;
            shell::talk(&format!("{kills} kills lost nothing that was acknowledged"));
            Ok(())
        }
    }
}
