//! How fast a store opens after a kill, and how fast its index is built anew.

use super::{Arguments, Table, http, server::Server};
use std::time::Duration;

/// Fills a store at the full rate, kills it, and starts it again.
pub fn measure(arguments: &Arguments, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(folder.path())?;
    let mut resources = 0;
    while resources < arguments.resources {
        resources += http::create(&server, Duration::from_secs(5))?.succeeded;
    }
    server.kill()?;
    let (server, opened) = Server::start(folder.path())?;
    table.add(&format!("open after a kill, {resources} resources"), format!("{opened:.2?}"));
    server.kill()?;
    for index in find(folder.path(), "index")? {
        std::fs::remove_dir_all(index)?;
    }
    let (_server, rebuilt) = Server::start(folder.path())?;
    let rate = resources as f64 / rebuilt.as_secs_f64();
    table.add("index rebuilt from the log", format!("{rate:.0} resources/s ({rebuilt:.1?})"));
    Ok(())
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
