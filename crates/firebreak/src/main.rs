//! Firebreak: a FHIR R4 service that survives the loss of a region.

#[cfg(not(target_os = "linux"))]
compile_error!("firebreak runs on Linux only: leases need CLOCK_BOOTTIME, the log needs fdatasync");

mod config;
mod demo;
mod dr;
mod exit;
mod gateway;
mod init;
mod join;
mod member;
mod process;
mod region;
mod serve;
mod witness;

use clap::{Parser, Subcommand};

/// Requests allocate on one thread and free on another all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A FHIR R4 service that survives the loss of a region.
#[derive(Parser)]
#[command(name = "firebreak", version, about, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serves one region alone: no configuration needed.
    Serve(serve::Args),
    /// Makes a cluster: its certificate authority and its first region.
    Init(init::Arguments),
    /// Makes a one-time token that lets one more member in.
    Invite(join::InviteArguments),
    /// Becomes a member of a cluster, with a token.
    Join(join::Arguments),
    /// Runs a region.
    Region(config::Arguments),
    /// Runs a witness.
    Witness(config::Arguments),
    /// Runs a gateway.
    Gateway(config::Arguments),
    /// Loses a region under load and goes on, on this machine, and accounts for every write.
    Demo(demo::Arguments),
    /// The demo's delayed link between the regions, as a process of its own.
    #[command(hide = true)]
    DemoLink(demo::LinkArguments),
    /// Shows and commands disaster recovery.
    #[command(subcommand)]
    Dr(dr::Verb),
}

fn main() -> std::process::ExitCode {
    let done = match CommandLine::parse().verb {
        Verb::Serve(args) => serve::run(&args),
        Verb::Init(arguments) => init::run(&arguments),
        Verb::Invite(arguments) => join::invite(&arguments),
        Verb::Join(arguments) => join::run(&arguments),
        Verb::Region(arguments) => region::run(&arguments),
        Verb::Witness(arguments) => witness::run(&arguments),
        Verb::Gateway(arguments) => gateway::run(&arguments),
        Verb::Demo(arguments) => demo::run(&arguments),
        Verb::DemoLink(arguments) => demo::link(&arguments),
        Verb::Dr(verb) => dr::run(&verb),
    };
    exit::code(done)
}
