//! A light HTTP/1.1 client for measuring: prepared requests over many connections, one at a time
//! on each, the answer's head looked at only for its status and length.

use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Makes the bytes of a request: connection number, request number on it.
pub type MakeRequest = Arc<dyn Fn(usize, u64) -> Vec<u8> + Send + Sync>;

/// What to send.
#[derive(Clone)]
pub struct Blast {
    /// `HOST:PORT`.
    pub address: String,
    /// Connections side by side.
    pub connections: usize,
    /// How long.
    pub duration: Duration,
    /// Time from one request of a connection to its next, for a fixed rate: one that was answered
    /// late is followed at once. Zero for as fast as it goes.
    pub interval: Duration,
    /// The requests.
    pub request: MakeRequest,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Blasted {
    /// Answers with a status below 300.
    pub succeeded: u64,
    /// All other answers, and broken connections.
    pub failed: u64,
    /// First to last.
    pub elapsed: Duration,
    /// Time from sending to the whole answer, in microseconds, sorted.
    pub latencies_us: Vec<u32>,
}

impl Blasted {
    /// Successes for each second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.succeeded as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
    /// The latency that `share` (0 to 1) of the requests stayed within, in microseconds.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> u32 {
        let last = self.latencies_us.len().saturating_sub(1);
        self.latencies_us.get((last as f64 * share).round() as usize).copied().unwrap_or(0)
    }
}

impl Blast {
    /// Sends until the time is over.
    pub async fn run(&self) -> Blasted {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for number in 0..self.connections {
            tasks.spawn(one(self.clone(), number, start + self.duration));
        }
        let mut total = Blasted::default();
        while let Some(part) = tasks.join_next().await {
            let part = part.expect("a connection does not panic");
            total.succeeded += part.succeeded;
            total.failed += part.failed;
            total.latencies_us.extend(part.latencies_us);
        }
        total.elapsed = start.elapsed();
        total.latencies_us.sort_unstable();
        total
    }
}

async fn one(blast: Blast, number: usize, end: Instant) -> Blasted {
    let mut done = Blasted::default();
    let Ok(mut stream) = TcpStream::connect(&blast.address).await else {
        done.failed = 1;
        return done;
    };
    stream.set_nodelay(true).ok();
    // At a fixed rate the connections take turns.
    let turn = u32::try_from(number).unwrap_or(0);
    let turns = u32::try_from(blast.connections).unwrap_or(u32::MAX).max(1);
    let mut due = tokio::time::Instant::now() + blast.interval / turns * turn;
    tokio::time::sleep_until(due).await;
    let mut buffer = Vec::with_capacity(16 << 10);
    for count in 0.. {
        let sent = Instant::now();
        if sent >= end {
            break;
        }
        let request = (blast.request)(number, count);
        let status = match stream.write_all(&request).await {
            Ok(()) => answer(&mut stream, &mut buffer).await,
            Err(error) => Err(error),
        };
        match status {
            Ok(200..300) => done.succeeded += 1,
            Ok(_) => done.failed += 1,
            Err(_) => {
                done.failed += 1;
                break;
            }
        }
        let taken = sent.elapsed();
        done.latencies_us.push(u32::try_from(taken.as_micros()).unwrap_or(u32::MAX));
        due += blast.interval;
        if !blast.interval.is_zero() {
            tokio::time::sleep_until(due).await;
        }
    }
    done
}

/// Reads one answer whole and gives its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<u16> {
    let broken = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    buffer.clear();
    let head = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = std::str::from_utf8(&buffer[..head]).map_err(|_| broken())?;
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    while buffer.len() < head + length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(status)
}
