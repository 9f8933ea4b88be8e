//! How fast a store opens after a kill, and how fast its index is built anew.

use super::server::{Server, ask};
use super::{Arguments, Part, Table, http};
use anyhow::Context;
use std::path::Path;
use std::time::Duration;

/// How long the store is filled before the count is looked at again.
const FILL: Duration = Duration::from_secs(5);

/// Fills a store at the full rate, kills it, and starts it again, with its index and without.
pub fn measure(arguments: &Arguments, program: &Path, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(program, folder.path())?;
    let mut resources = 0;
    while resources < arguments.resources {
        let address = server.address();
        resources += http::create(address, http::CONNECTIONS, FILL, Duration::ZERO)?.succeeded;
    }
    // Killed at the full rate: what was answered last is not in the index yet.
    let address = server.address().to_owned();
    let filling = std::thread::spawn(move || {
        // Its connections break, which is the purpose.
        let _ = http::create(&address, http::CONNECTIONS, FILL, Duration::ZERO);
    });
    std::thread::sleep(FILL / 2);
    server.kill()?;
    let _ = filling.join();
    if arguments.wants(Part::Open) {
        let (server, opened) = Server::start(program, folder.path())?;
        let name = format!("open after a kill, {} resources", count(&server)?);
        table.add(&name, format!("{opened:.2?}"));
        server.kill()?;
    }
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
