//! How fast a store opens after a kill, and how fast its index is built anew.

use super::server::{Server, ask};
use super::{Arguments, Part, Table, http};
use anyhow::Context;
use std::path::Path;
use std::time::Duration;

/// How long the store is filled before the count is looked at again.
const FILL: Duration = Duration::from_secs(5);

/// So many kills, each at another moment between two flushes of the index.
const KILLS: u32 = 10;

/// Fills a store at the full rate, kills it, and starts it again, with its index and without.
pub fn measure(arguments: &Arguments, program: &Path, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(program, folder.path())?;
    let mut resources = 0;
    while resources < arguments.resources {
        let address = server.address();
        resources += http::create(address, http::CONNECTIONS, FILL, Duration::ZERO)?.succeeded;
    }
    let mut server = server;
    let mut opened = Vec::with_capacity(KILLS as usize);
    for kill in 0..KILLS {
        kill_filling(server, FILL / 2 + kill * FILL / 2 / KILLS)?;
        let (started, took) = Server::start(program, folder.path())?;
        server = started;
        opened.push(took);
    }
    if arguments.wants(Part::Open) {
        opened.sort_unstable();
        let name = format!("open after a kill, {} resources", count(&server)?);
        let (median, worst) = (opened[opened.len() / 2], opened[opened.len() - 1]);
        table.add(&name, format!("median {median:.2?}, worst of {KILLS} {worst:.2?}"));
    }
    server.kill()?;
    if arguments.wants(Part::Rebuild) {
        for index in find(folder.path(), "index")? {
            std::fs::remove_dir_all(index)?;
        }
        let (server, rebuilt) = Server::start(program, folder.path())?;
        let resources = count(&server)?;
        let rate = resources as f64 / rebuilt.as_secs_f64();
        let name = format!("start without an index, {resources} resources");
        table.add(&name, format!("{rate:.0} resources/s rebuilt from the log ({rebuilt:.1?})"));
    }
    Ok(())
}

/// Kills the server at the full rate of creates: what it answered last is not in the index yet.
fn kill_filling(server: Server, after: Duration) -> anyhow::Result<()> {
    let address = server.address().to_owned();
    let filling = std::thread::spawn(move || {
        // Its connections break, which is the purpose.
        let _ = http::create(&address, http::CONNECTIONS, FILL * 2, Duration::ZERO);
    });
    std::thread::sleep(after);
    server.kill()?;
    let _ = filling.join();
    Ok(())
}

/// How many Observations there are.
fn count(server: &Server) -> anyhow::Result<u64> {
    let answer = ask(server.address(), "/fhir/Observation?_summary=count").unwrap_or_default();
    let total = answer
        .split_once("\"total\":")
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    total.context("the server does not tell how many resources it has")
}

/// Folders of this name below `root`.
fn find(root: &std::path::Path, name: &str) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|own| own == name) {
            found.push(path);
        } else if path.is_dir() {
            found.extend(find(&path, name)?);
        }
    }
    Ok(found)
}
