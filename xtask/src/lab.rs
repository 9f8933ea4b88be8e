//! `cargo xtask lab install`: follows `docs/operate/install.md` word by word on this machine.
//!
//! A host is a folder; 192.0.2.N in the page is 127.0.0.N here; absolute paths are the host's
//! own. What belongs to a real host's system (`useradd`, `systemctl`, `runuser`, `scp`) is played
//! by short scripts: `systemctl` starts what the page's unit says. A block marked `wait=N` is
//! tried again for N seconds; every other line must succeed at once.

use crate::shell;
use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PAGE: &str = "docs/operate/install.md";
const HOSTS: [&str; 3] = ["east", "west", "third"];
/// Paths of the page that are a host's own.
const PATHS: [&str; 3] = ["/etc/", "/var/lib/", "/usr/local/bin/"];

/// Of each member's log, this much is shown when a step fails.
const LOG_LINES: usize = 60;

/// What the lab rehearses.
#[derive(clap::Subcommand)]
pub enum Arguments {
    /// Follows docs/operate/install.md on 127.0.0.2 to 127.0.0.4.
    Install {
        /// The `firebreak` to rehearse with (default: the debug build, made first).
        #[arg(long)]
        binary: Option<PathBuf>,
    },
}

/// Rehearses.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments::Install { binary } = arguments;
    let binary = match binary {
        Some(binary) => std::path::absolute(binary)?,
        None => {
            shell::run("cargo", &["build", "--locked", "--package", "firebreak"])?;
            shell::built("debug")?
        }
    };
    let lab =
        Lab { root: std::env::temp_dir().join(format!("firebreak-lab-{}", std::process::id())) };
    lab.make(&binary)?;
    let page = std::fs::read_to_string(PAGE)?;
    let start = Instant::now();
    for block in blocks(&page)? {
        for host in &block.hosts {
            lab.follow(host, &block)?;
        }
    }
    let east = std::fs::read_to_string(lab.host("east").join("starts"))?;
    ensure!(east.lines().count() == 1, "the first region was started more than once");
    shell::talk(&format!("{PAGE} holds, word by word, in {} s", start.elapsed().as_secs()));
    Ok(())
}

struct Block {
    line: usize,
    language: String,
    hosts: Vec<String>,
    file: Option<String>,
    wait: Duration,
    text: String,
}

/// The fenced blocks that name hosts.
fn blocks(page: &str) -> anyhow::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((line, text)) = lines.next() {
        let Some(info) = text.strip_prefix("```") else { continue };
        let mut words = info.split_whitespace();
        let language = words.next().unwrap_or_default().to_owned();
        let keys: BTreeMap<&str, &str> = words.filter_map(|word| word.split_once('=')).collect();
        let mut body = String::new();
        for (_, text) in lines.by_ref().take_while(|(_, text)| *text != "```") {
            writeln!(body, "{text}")?;
        }
        let hosts = keys.get("host").with_context(|| format!("line {}: no host", line + 1))?;
        let wait = keys.get("wait").map_or(Ok(0), |wait| wait.parse())?;
        blocks.push(Block {
            line: line + 1,
            language,
            hosts: hosts.split(',').map(str::to_owned).collect(),
            file: keys.get("file").map(|&file| file.to_owned()),
            wait: Duration::from_secs(wait),
            text: body,
        });
    }
    ensure!(!blocks.is_empty(), "{PAGE} has nothing to follow");
    Ok(blocks)
}

struct Lab {
    root: PathBuf,
}

impl Lab {
    fn host(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Folders, the binary, and the scripts that play the system.
    fn make(&self, binary: &Path) -> anyhow::Result<()> {
        for host in HOSTS {
            for folder in ["home", "bin", "etc/systemd/system", "var/lib", "usr/local/bin"] {
                std::fs::create_dir_all(self.host(host).join(folder))?;
            }
            let folder = self.host(host);
            std::os::unix::fs::symlink(binary, folder.join("usr/local/bin/firebreak"))?;
            std::os::unix::fs::symlink(binary, folder.join("bin/firebreak"))?;
            for (name, text) in SYSTEM {
                let file = folder.join("bin").join(name);
                std::fs::write(&file, text)?;
                std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755))?;
            }
        }
        Ok(())
    }

    /// The page's text as it is meant for a host here.
    fn here(&self, host: &str, text: &str) -> String {
        let mut text = text.replace("192.0.2.", "127.0.0.");
        for path in PATHS {
            text = text.replace(path, &format!("{}{path}", self.host(host).display()));
        }
        text
    }

    fn follow(&self, host: &str, block: &Block) -> anyhow::Result<()> {
        let text = self.here(host, &block.text);
        match (&block.file, &block.language[..]) {
            (Some(file), _) => std::fs::write(self.here(host, file), text)?,
            (None, "sh") => {
                let start = Instant::now();
                while let Err(error) = self.shell(host, &text) {
                    if start.elapsed() >= block.wait {
                        self.say_logs();
                        let line = block.line;
                        return Err(error.context(format!("{PAGE}:{line} on {host}")));
                    }
                    std::thread::sleep(Duration::from_millis(250));
                }
            }
            (None, other) => bail!("line {}: a block of {other} needs a file", block.line),
        }
        shell::talk(&format!("{PAGE}:{} on {host}", block.line));
        Ok(())
    }

    /// The last lines of what the members said, for whoever looks for the cause.
    fn say_logs(&self) {
        for host in HOSTS {
            for instance in ["region", "witness", "gateway"] {
                let file = self.host(host).join(format!("{instance}.log"));
                let Ok(text) = std::fs::read_to_string(file) else { continue };
                let lines: Vec<&str> = text.lines().collect();
                let from = lines.len().saturating_sub(LOG_LINES);
                for line in &lines[from..] {
                    shell::talk(&format!("{host} {instance}: {line}"));
                }
            }
        }
    }

    fn shell(&self, host: &str, text: &str) -> anyhow::Result<()> {
        let folder = self.host(host);
        let path = std::env::var("PATH").unwrap_or_default();
        let out = Command::new("sh")
            .args(["-eu", "-c", text])
            .current_dir(folder.join("home"))
            .env("PATH", format!("{}:{path}", folder.join("bin").display()))
            .env("LAB", &self.root)
            .env("HOST", &folder)
            .stdin(Stdio::null())
            .output()?;
        if !out.status.success() {
            bail!(
                "{}{}",
                String::from_utf8_lossy(&out.stdout),
                String::from_utf8_lossy(&out.stderr)
            );
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in HOSTS {
            let pids = std::fs::read_to_string(self.host(host).join("pids")).unwrap_or_default();
            for pid in pids.lines() {
                // It may have ended by itself.
                let _ = Command::new("kill").args(["-9", pid]).stderr(Stdio::null()).status();
            }
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// The parts of a host's system that the page uses.
const SYSTEM: [(&str, &str); 5] = [
    ("useradd", "#!/bin/sh\nexit 0\n"),
    (
        "install",
        "#!/bin/sh\n# The user is played: ownership is left alone.\n\
         set -- $(printf '%s ' \"$@\" | sed 's/-o [a-z]* //; s/-g [a-z]* //')\n\
         exec /usr/bin/install \"$@\"\n",
    ),
    ("runuser", "#!/bin/sh\n# runuser -u USER -- COMMAND\nshift 3\nexec \"$@\"\n"),
    ("scp", "#!/bin/sh\n# scp HOST:FILE .\nexec cp \"$LAB/${1%%:*}/home/${1#*:}\" \"$2\"\n"),
    (
        "systemctl",
        "#!/bin/sh\n# systemctl enable --now NAME@INSTANCE\n\
         unit=${3%%@*} instance=${3#*@}\n\
         line=$(sed -n \"s/^ExecStart=//p\" \"$HOST/etc/systemd/system/$unit@.service\" | sed \"s/%i/$instance/g\")\n\
         $line >>\"$HOST/$instance.log\" 2>&1 </dev/null &\n\
         echo $! >>\"$HOST/pids\"\necho \"$instance\" >>\"$HOST/starts\"\n",
    ),
];
