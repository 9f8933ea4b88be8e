//! Exit codes: what a script may rely on.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed |
//! | 2 | the command line is wrong, or lacks what it needs |
//! | 65 | a file or folder has another format, or is damaged |
//! | 66 | the folder holds no member, another one, or something else; a file of it is missing |
//! | 69 | the cluster refused, or nobody answered |
//! | 71 | an address cannot be listened on |
//! | 73 | another process works on the folder |
//! | 74 | the disk failed: promises or data cannot be made durable |
//! | 77 | a permission is missing |
//! | 78 | the configuration is wrong |

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// The configuration is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(pub String);

/// The command line lacks what it needs.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Incomplete(pub String);

/// The cluster refused what was asked, or nobody answered.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Says what failed, in one sentence, and gives its code.
pub fn code(done: anyhow::Result<()>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    // Who reads what is printed has seen enough, as `head` has.
    let unread = error.downcast_ref::<std::io::Error>();
    if unread.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // stderr may be closed; the code still tells.
    let _ = writeln!(std::io::stderr(), "firebreak: {}", sentence(&error));
    ExitCode::from(number(&error))
}

/// What failed and why, each said once: some errors tell their cause themselves.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.contains(&cause) {
            continue;
        }
        if !sentence.is_empty() {
            sentence.push_str(": ");
        }
        sentence.push_str(&cause);
    }
    sentence
}

fn number(error: &anyhow::Error) -> u8 {
    use control::Error as Control;
    let denied = error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == ErrorKind::PermissionDenied)
    });
    if denied {
        return 77;
    }
    let taken = error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| matches!(io.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable))
    });
    if taken {
        return 71;
    }
    let full = error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    });
    if full {
        return 74;
    }
    if error.is::<Incomplete>() {
        return 2;
    }
    if error.is::<Misconfigured>() {
        return 78;
    }
    if error.is::<Refused>() {
        return 69;
    }
    if error.is::<::gateway::Error>() {
        return 71;
    }
    if let Some(store) = error.downcast_ref::<store::Error>() {
        return of_store(store);
    }
    match error.downcast_ref::<Control>() {
        Some(Control::Locked(_)) => 73,
        Some(Control::NoIdentity { .. } | Control::WrongKind { .. }) => 66,
        Some(Control::AlreadyMember { .. } | Control::Missing { .. }) => 66,
        Some(Control::Foreign { .. } | Control::Orphaned { .. }) => 66,
        Some(Control::File { source, .. }) if source.kind() == ErrorKind::NotADirectory => 66,
        Some(Control::File { what: "write" | "sync" | "reserve" | "rename", .. }) => 74,
        Some(Control::Format { .. } | Control::Corrupt { .. } | Control::Damaged { .. }) => 65,
        Some(Control::Token | Control::Refused(_) | Control::Peer(_)) => 69,
        Some(Control::Timeout { .. }) => 69,
        Some(Control::Connection { source, .. }) if source.kind() == ErrorKind::AddrInUse => 71,
        Some(Control::Connection { .. }) => 69,
        _ => 1,
    }
}

fn of_store(error: &store::Error) -> u8 {
    use store::log::Error as Log;
    match error {
        store::Error::Log(Log::Io { .. } | Log::Full { .. } | Log::Poisoned) => 74,
        store::Error::IndexFull => 74,
        store::Error::Corrupt { .. } | store::Error::Commit(_) => 65,
        store::Error::Log(Log::Corrupt { .. } | Log::Format { .. }) => 65,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let denied = std::io::Error::from(ErrorKind::PermissionDenied);
        let text = denied.to_string();
        let known = anyhow::Error::new(denied).context(format!("read roster.toml: {text}"));
        assert_eq!(sentence(&known), format!("read roster.toml: {text}"));
        let error = Err::<(), _>(known).context("the region does not start");
        let whole = format!("the region does not start: read roster.toml: {text}");
        assert_eq!(sentence(&error.expect_err("it is one")), whole);
    }
}
