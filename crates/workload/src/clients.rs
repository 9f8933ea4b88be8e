//! Clients that write and read through one URL all the while, retry with the same key what has no
//! certain outcome, and write down every answer.

use crate::http::{Answer, Connection, Error, Request, split_url};
use crate::{Reading, Record, history};
use base::{Rng as _, Seeded};
use history::History;
use hyper::Method;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How the clients behave.
#[derive(Clone, Debug)]
pub struct ClientsConfig {
    /// FHIR base, `http://HOST:PORT/ACCOUNT`.
    pub url: String,
    /// The same at other gateways: the clients are spread over all, and each goes to the next one
    /// when no answer comes.
    pub others: Vec<String>,
    /// How many clients, each with one connection and one request at a time.
    pub clients: usize,
    /// Pause of each client between two requests.
    pub pause: Duration,
    /// How long a client waits for one answer.
    pub timeout: Duration,
    /// Makes the sequence of requests repeatable.
    pub seed: u64,
}

/// Running totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Writes that a client was told had succeeded.
    pub acknowledged_writes: u64,
    /// Answered reads.
    pub reads: u64,
    /// Attempts that ended in no answer or a status of 500 and above.
    pub failed_attempts: u64,
    /// Writes sent and not answered yet.
    pub writes_in_flight: usize,
}

#[derive(Default)]
struct Shared {
    history: History,
    stop: AtomicBool,
    acknowledged_writes: AtomicU64,
    reads: AtomicU64,
    failed_attempts: AtomicU64,
    writes_in_flight: AtomicUsize,
}

/// The running clients.
pub struct Clients {
    shared: Arc<Shared>,
    start: Instant,
    tasks: JoinSet<()>,
}

impl Clients {
    /// Starts them.
    pub fn start(config: &ClientsConfig) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for number in 0..config.clients {
            let client = Client::new(number, config, start, Arc::clone(&shared))?;
            tasks.spawn(client.run());
        }
        Ok(Self { shared, start, tasks })
    }

    /// The moment that the records count from.
    #[must_use]
    pub fn start_time(&self) -> Instant {
        self.start
    }

    /// Running totals.
    #[must_use]
    pub fn tally(&self) -> Tally {
        Tally {
            acknowledged_writes: self.shared.acknowledged_writes.load(Ordering::Relaxed),
            reads: self.shared.reads.load(Ordering::Relaxed),
            failed_attempts: self.shared.failed_attempts.load(Ordering::Relaxed),
            writes_in_flight: self.shared.writes_in_flight.load(Ordering::Relaxed),
        }
    }

    /// What was recorded so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.shared.history.records()
    }

    /// Lets each client finish the request it is at and gives the whole history.
    pub async fn stop(mut self) -> Vec<Record> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        self.shared.history.records()
    }
}

/// How many of its own resources a client keeps updating and reading.
const OWN_RESOURCES: usize = 32;
/// How long a client goes on trying one write after it was told to stop.
const LAST_ATTEMPTS: Duration = Duration::from_secs(10);

struct Client {
    number: usize,
    config: ClientsConfig,
    base_path: String,
    /// The one in use first.
    connections: VecDeque<Connection>,
    dice: Seeded,
    start: Instant,
    shared: Arc<Shared>,
    own: VecDeque<String>,
    writes: u64,
}

impl Client {
    fn new(
        number: usize,
        config: &ClientsConfig,
        start: Instant,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let urls = std::iter::once(&config.url).chain(&config.others);
        let connections = urls.map(|url| Connection::new(url, config.timeout));
        let mut connections: VecDeque<_> = connections.collect::<Result<_, _>>()?;
        let first = number % connections.len();
        connections.rotate_left(first);
        Ok(Self {
            number,
            config: config.clone(),
            base_path: split_url(&config.url)?.1,
            connections,
            dice: Seeded(config.seed.wrapping_mul(1_000_003).wrapping_add(number as u64)),
            start,
            shared,
            own: VecDeque::new(),
            writes: 0,
        })
    }

    async fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let choice = self.dice.below(100);
            match self.pick() {
                Some(id) if choice < 30 => self.read(&id).await,
                Some(id) if choice < 60 => self.write(Method::PUT, Some(id)).await,
                Some(id) if choice < 64 => {
                    self.own.retain(|own| *own != id);
                    self.write(Method::DELETE, Some(id)).await;
                }
                _ => self.write(Method::POST, None).await,
            }
            if !self.config.pause.is_zero() {
                tokio::time::sleep(self.config.pause).await;
            }
        }
    }

    fn pick(&mut self) -> Option<String> {
        let count = self.own.len() as u64;
        (count > 0).then(|| {
            let at = usize::try_from(self.dice.below(count)).expect("an index of the list");
            self.own[at].clone()
        })
    }

    async fn read(&mut self, id: &str) {
        let request = Request::get(format!("{}/Observation/{id}", self.base_path));
        if self.attempt(&request, None).await.is_some_and(|answer| answer.status < 500) {
            self.shared.reads.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One write, tried with the same key until its outcome is known.
    async fn write(&mut self, method: Method, id: Option<String>) {
        self.writes += 1;
        let key = format!("client-{:x}-{}-{}", self.config.seed, self.number, self.writes);
        let deletes = method == Method::DELETE;
        let path = match &id {
            Some(id) => format!("{}/Observation/{id}", self.base_path),
            None => format!("{}/Observation", self.base_path),
        };
        let body = if deletes {
            String::new()
        } else {
            Reading::nth(self.number as u64, self.writes).to_json(id.as_deref())
        };
        let request = Request {
            method,
            path,
            headers: vec![("idempotency-key", key.clone())],
            body: body.into(),
        };
        self.shared.writes_in_flight.fetch_add(1, Ordering::Relaxed);
        let answer = self.insist(&request, &key).await;
        self.shared.writes_in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some(answer) = answer.filter(|answer| answer.status < 300) else { return };
        self.shared.acknowledged_writes.fetch_add(1, Ordering::Relaxed);
        if let (None, (Some(id), _)) = (id, identity(&answer)) {
            if self.own.len() == OWN_RESOURCES {
                self.own.pop_front();
            }
            self.own.push_back(id);
        }
    }

    /// Tries until there is a certain answer; gives up some time after the clients are stopped.
    async fn insist(&mut self, request: &Request, key: &str) -> Option<Answer> {
        let mut give_up: Option<Instant> = None;
        loop {
            let answer = self.attempt(request, Some(key)).await;
            if answer.as_ref().is_some_and(|answer| answer.status < 500) {
                return answer;
            }
            if self.shared.stop.load(Ordering::Relaxed) {
                let deadline = *give_up.get_or_insert_with(|| Instant::now() + LAST_ATTEMPTS);
                if Instant::now() > deadline {
                    return None;
                }
            }
            tokio::time::sleep(Duration::from_millis(20 + self.dice.below(30))).await;
        }
    }

    /// Sends once and writes down what came of it.
    async fn attempt(&mut self, request: &Request, key: Option<&str>) -> Option<Answer> {
        let sent_ms = self.now_ms();
        let answer = self.connections[0].send(request).await.ok();
        if answer.is_none() {
            self.connections.rotate_left(1);
        }
        let (id, version) = answer.as_ref().map(identity).unwrap_or_default();
        let header = |name: &str| Some(answer.as_ref()?.header(name)?.to_owned());
        self.shared.history.push(Record {
            sent_ms,
            t_ms: self.now_ms(),
            client: self.number,
            method: request.method.to_string(),
            url: request.path.clone(),
            idempotency_key: key.map(str::to_owned),
            status: answer.as_ref().map_or(0, |answer| answer.status),
            position: header("x-firebreak-position"),
            durability: header("x-firebreak-durability"),
            id,
            version,
            body_sha256: answer
                .as_ref()
                .filter(|answer| !answer.body.is_empty())
                .map(|answer| history::sha256(&answer.body)),
        });
        if answer.as_ref().is_none_or(|answer| answer.status >= 500) {
            self.shared.failed_attempts.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Id and version that an answer speaks of: from `Location`, else from the body and the `ETag`.
fn identity(answer: &Answer) -> (Option<String>, Option<String>) {
    if let Some(location) = answer.header("location") {
        let mut parts = location.rsplit('/');
        if let (Some(version), Some("_history"), Some(id)) =
            (parts.next(), parts.next(), parts.next())
        {
            return (Some(id.to_owned()), Some(version.to_owned()));
        }
    }
    let version = answer.header("etag").map(|tag| tag.trim_start_matches("W/").trim_matches('"'));
    let shape: Identified = serde_json::from_slice(&answer.body).unwrap_or_default();
    (shape.id, version.map(str::to_owned))
}

#[derive(Default, serde::Deserialize)]
struct Identified {
    id: Option<String>,
}
