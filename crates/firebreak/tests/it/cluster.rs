//! Members of a cluster on loopback, each a process of its own, made as an operator makes them.

use crate::server::{free_address, program};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a step may take that waits for leases, connections and copies.
pub const STEP: Duration = Duration::from_secs(90);

/// A member's process, killed when it goes out of scope.
pub struct Member(Child);

impl Member {
    /// SIGKILL, to the end.
    pub fn kill(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A folder with members, and how to invite more.
pub struct Cluster {
    folder: tempfile::TempDir,
    /// The first region's data folder, which holds the authority.
    pub data: PathBuf,
    timing: &'static str,
}

impl Cluster {
    /// Without members; the first region's folder will be `first`.
    pub fn new(timing: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("first");
        Self { folder, data, timing }
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs a verb to its end; its exit code, its standard output, and what it said on the other.
    pub fn end(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let out = self.program(arguments).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (out.status.code(), text(out.stdout), text(out.stderr))
    }

    /// The same: its standard output, or what it said on the other.
    pub fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        match self.end(arguments) {
            (Some(0), output, _) => Ok(output),
            (_, _, said) => Err(said),
        }
    }

    /// The same, where it must succeed.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
    }

    /// Writes a member's configuration, on free ports; `keys` are more lines.
    pub fn configure(&self, name: &str, kind: &str, keys: &str) {
        let data = self.folder.path().join(name);
        let timing = self.timing;
        let mut text = format!("name = {name:?}\nkind = {kind:?}\ndata = {data:?}\n");
        text.push_str(&format!("timing = {timing:?}\n{keys}"));
        let ports: &[&str] = match kind {
            "region" => &["peer", "serve", "ship"],
            "witness" => &["peer"],
            _ => &[],
        };
        for port in ports {
            text.push_str(&format!("{port} = {:?}\n", free_address()));
        }
        std::fs::write(self.file(name, "toml"), text).expect("writes");
    }

    fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.{ending}"))
    }

    /// Where a member's configuration is.
    pub fn config(&self, name: &str) -> String {
        self.file(name, "toml").display().to_string()
    }

    /// Starts a member that was configured and made.
    pub fn start(&self, name: &str, kind: &str) -> Member {
        let log = self.file(name, "log");
        let log = File::options().create(true).append(true).open(log).expect("opens");
        let mut command = self.program(&[kind, "--config", &self.config(name)]);
        Member(command.stdout(Stdio::null()).stderr(log).spawn().expect("the program starts"))
    }

    /// Invites a member, lets it join, and starts it.
    pub fn join(&self, name: &str, kind: &str, keys: &str) -> Member {
        self.configure(name, kind, keys);
        let data = self.data.display().to_string();
        let invite = ["invite", "--data", &data, "--name", name, "--kind", kind, "--json"];
        let told: Value = serde_json::from_str(&self.run(&invite)).expect("JSON");
        let text = |key: &str| told[key].as_str().expect("it is told").to_owned();
        let (to, token) = (text("to"), text("token"));
        self.run(&["join", "--config", &self.config(name), "--to", &to, "--token", &token]);
        self.start(name, kind)
    }

    /// The folder of the operator's credentials.
    pub fn operator(&self) -> String {
        self.data.join("operator").display().to_string()
    }

    /// What each region that answers says of its first account.
    pub fn status(&self) -> BTreeMap<String, Value> {
        let told = self.try_run(&["dr", "status", "--json", "--operator", &self.operator()]);
        let told: Value =
            told.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
        let regions = told["regions"].as_array().cloned().unwrap_or_default();
        let account = |region: Value| {
            let account = region["status"]["accounts"].get(0)?.clone();
            Some((region["region"].as_str()?.to_owned(), account))
        };
        regions.into_iter().filter_map(account).collect()
    }

    /// Waits until `primary` acts, with a secondary that is in sync.
    pub fn wait_in_sync(&self, primary: &str) {
        wait("a pair in sync", || {
            let status = self.status();
            let Some(told) = status.get(primary) else { return Err(format!("{status:?}")) };
            let role = told["role"] == "primary" && told["open"] == true;
            match role && told["secondary_state"] == "in-sync" {
                true => Ok(()),
                false => Err(format!("{status:?}")),
            }
        });
    }
}

/// Waits until something holds, or fails with what was last seen.
pub fn wait<T>(what: &str, mut holds: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match holds() {
            Ok(found) => return found,
            Err(seen) => assert!(start.elapsed() < STEP, "no {what} within {STEP:?}: {seen}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
