//! Reads what strace saw of a server: which writes of the log were synced before which answers.

use std::collections::BTreeMap;

/// One system call that matters here; times are the order of strace's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Line on which it began.
    pub began: usize,
    /// Line on which it ended.
    pub ended: usize,
    /// What it was.
    pub what: What,
}

/// What a call was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes other than zeroes were written to a file of the log.
    LogWrite,
    /// A file of the log was synced.
    LogSync,
    /// A request with a body came in on this connection.
    Request(String),
    /// An answer with a 2xx status went out on this connection.
    Success(String),
}

/// The calls of a trace made with `strace -f -yy`, in the order in which they began.
pub fn read(trace: &str) -> Vec<Call> {
    let mut unfinished: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((process, text)) = line.trim_start().split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(head) = text.strip_suffix(" <unfinished ...>") {
            unfinished.insert(process, (number, head));
            continue;
        }
        let (began, head, tail) = match text.strip_prefix("<... ") {
            Some(tail) => match unfinished.remove(process) {
                Some((began, head)) => (began, head, tail),
                None => continue,
            },
            None => (number, text, ""),
        };
        if let Some(what) = classify(head, tail) {
            calls.push(Call { began, ended: number, what });
        }
    }
    calls.sort_by_key(|call| call.began);
    calls
}

fn classify(head: &str, tail: &str) -> Option<What> {
    let (name, rest) = head.split_once('(')?;
    let object = rest.split_once('<')?.1;
    let end = [">,", ">)", "> "].iter().filter_map(|end| object.find(end)).min();
    let object = end.map_or(object.trim_end_matches('>'), |end| &object[..end]);
    let log = object.contains("/log/");
    let socket = object.starts_with("TCP:");
    let whole = format!("{head}{tail}");
    match name {
        "fdatasync" | "fsync" if log => Some(What::LogSync),
        "pwrite64" | "pwritev" | "write" | "writev" if log => {
            let data = whole.split_once('"')?.1;
            (!data.starts_with("\\0\\0\\0\\0")).then_some(What::LogWrite)
        }
        "sendto" | "write" | "writev" | "sendmsg" if socket => {
            whole.contains("\"HTTP/1.1 20").then(|| What::Success(object.to_owned()))
        }
        "recvfrom" | "read" | "readv" if socket => {
            let posts = whole.contains("\"POST ") || whole.contains("\"PUT ");
            posts.then(|| What::Request(object.to_owned()))
        }
        _ => None,
    }
}

/// Every success whose request was not followed by a log write and then by a sync, begun after that
/// write and completed before the answer began.
pub fn answered_too_early(calls: &[Call]) -> Vec<&Call> {
    let mut requests: BTreeMap<&str, &Call> = BTreeMap::new();
    let mut early = Vec::new();
    for call in calls {
        match &call.what {
            What::Request(connection) => {
                requests.insert(connection, call);
            }
            What::Success(connection) => {
                let Some(request) = requests.remove(connection.as_str()) else { continue };
                if !synced_between(calls, request.ended, call.began) {
                    early.push(call);
                }
            }
            What::LogWrite | What::LogSync => {}
        }
    }
    early
}

fn synced_between(calls: &[Call], from: usize, to: usize) -> bool {
    let within = |call: &&Call| call.began > from && call.ended < to;
    let Some(first_write) = calls.iter().filter(within).find(|call| call.what == What::LogWrite)
    else {
        return false;
    };
    calls
        .iter()
        .filter(within)
        .any(|call| call.what == What::LogSync && call.began > first_write.ended)
}

/// With one client, one request at a time: every success whose last log write was not synced.
pub fn last_write_not_synced(calls: &[Call]) -> Vec<&Call> {
    let unsynced = |answer: &&Call| {
        let before = |call: &&Call| call.ended < answer.began;
        let write = calls.iter().filter(before).rfind(|c| c.what == What::LogWrite);
        let sync = calls.iter().filter(before).rfind(|c| c.what == What::LogSync);
        match (write, sync) {
            (Some(write), Some(sync)) => sync.began < write.ended,
            _ => true,
        }
    };
    calls.iter().filter(|call| matches!(call.what, What::Success(_))).filter(unsynced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
10 recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "POST /fhir/Patient HTTP/1.1\r\n"..., 8192, 0, NULL, NULL) = 900
11 pwrite64(5</d/log/1.seg>, "\1\2\3"..., 400, 0) = 400
11 fdatasync(5</d/log/1.seg> <unfinished ...>
12 pwrite64(6</d/log/2.seg>, "\0\0\0\0\0"..., 4096, 0) = 4096
11 <... fdatasync resumed>) = 0
10 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "HTTP/1.1 201 Created\r\n"..., 300, MSG_NOSIGNAL, NULL, 0) = 300
"#;

    #[test]
    fn a_synced_answer_passes() {
        let calls = read(GOOD);
        assert_eq!(calls.len(), 4);
        assert!(answered_too_early(&calls).is_empty());
        assert!(last_write_not_synced(&calls).is_empty());
    }

    #[test]
    fn connections_are_told_apart() {
        let calls = read(GOOD);
        let name = "TCP:[127.0.0.1:1->127.0.0.1:2]".to_owned();
        assert_eq!(calls[0].what, What::Request(name.clone()));
        assert_eq!(calls[3].what, What::Success(name));
    }

    #[test]
    fn an_answer_before_the_end_of_the_sync_is_found() {
        let mut lines: Vec<&str> = GOOD.trim().lines().collect();
        lines.swap(4, 5);
        let calls = read(&lines.join("\n"));
        assert_eq!(answered_too_early(&calls).len(), 1);
        assert_eq!(last_write_not_synced(&calls).len(), 1);
    }

    #[test]
    fn a_sync_begun_before_the_write_does_not_count() {
        let mut lines: Vec<&str> = GOOD.trim().lines().collect();
        lines.swap(1, 2);
        let calls = read(&lines.join("\n"));
        assert_eq!(answered_too_early(&calls).len(), 1);
        assert_eq!(last_write_not_synced(&calls).len(), 1);
    }
}
