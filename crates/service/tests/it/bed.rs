//! A service in process, over the memory engine and a gate that says what a test wants.

use base::{
    AccountName, BootId, BootTime, Clock, Epoch, Fork, Limits, MemberId, Rng, Seq, Span, Stamp,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use replication::{Acknowledged, Durability, Gate, Refusal, Term};
use service::{Account, Scheme, Service, Settings};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::disk::SimDisk;
use store::{AccountStore, Engine, Place};
use tokio::sync::Notify;

/// What the gate says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Says {
    /// Refuses before the work.
    pub admit: Option<Refusal>,
    /// Refuses after the work.
    pub last: Option<Refusal>,
    /// Refuses to acknowledge.
    pub stall: Option<Refusal>,
    /// Holds acknowledgements back.
    pub hold: bool,
    /// The other region has everything.
    pub replicated: bool,
    /// This region is secondary, so far behind.
    pub lag: Option<Span>,
}

/// A gate that says what it is told.
#[derive(Default)]
pub struct TestGate {
    says: Mutex<Says>,
    held: Mutex<Vec<Acknowledged>>,
    holding: Notify,
    asked: Notify,
}

impl TestGate {
    /// From now on, and to all that is held back.
    pub fn say(&self, says: Says) {
        *self.says.lock() = says;
        if !says.hold {
            for done in self.held.lock().drain(..) {
                done(durability(says));
            }
        }
    }

    /// Drives `work` until an acknowledgement of it is held back.
    pub async fn until_held<T>(&self, work: &mut Pin<&mut impl Future<Output = T>>) {
        tokio::select! {
            _ = work.as_mut() => panic!("it was answered without an acknowledgement"),
            () = self.holding.notified() => {}
            () = tokio::time::sleep(std::time::Duration::from_secs(20)) => panic!("nothing asks"),
        }
    }

    /// Waits until a request asks for admission.
    pub async fn until_asked(&self) {
        let bound = std::time::Duration::from_secs(20);
        tokio::time::timeout(bound, self.asked.notified()).await.expect("a request comes");
    }
}

fn durability(says: Says) -> Result<Durability, Refusal> {
    match says.stall {
        Some(refusal) => Err(refusal),
        None if says.replicated => Ok(Durability::Replicated),
        None => Ok(Durability::Local),
    }
}

impl Gate for TestGate {
    fn admit(&self) -> Result<Term, Refusal> {
        self.asked.notify_one();
        match self.says.lock().admit {
            Some(refusal) => Err(refusal),
            None => {
                Ok(Term { member: MemberId::new(1), boot: BootId::new(1), epoch: Epoch::new(1) })
            }
        }
    }
    fn acknowledgeable(&self, _: Seq, done: Acknowledged) {
        let says = *self.says.lock();
        if says.hold {
            self.held.lock().push(done);
            self.holding.notify_one();
        } else {
            done(durability(says));
        }
    }
    fn acknowledgeable_now(&self, _: Seq) -> Option<Durability> {
        let says = *self.says.lock();
        if says.hold { None } else { durability(says).ok() }
    }
    fn replicated(&self, seq: Seq, _: Span, done: Acknowledged) {
        self.acknowledgeable(seq, done);
    }
    fn check_last(&self, _: &Term) -> Result<(), Refusal> {
        self.says.lock().last.map_or(Ok(()), Err)
    }
    fn secondary_lag(&self) -> Option<Span> {
        self.says.lock().lag
    }
}

/// A clock that goes on by a millisecond whenever it is read.
#[derive(Default)]
struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn boot(&self) -> BootTime {
        BootTime::from_us(self.0.fetch_add(1, Ordering::Relaxed) * 1000)
    }
    fn wall(&self) -> Stamp {
        Stamp::from_ms(1_795_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed))
    }
}

struct Counting(u64);

impl Rng for Counting {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0
    }
}

/// One account, `fhir`.
pub struct Bed {
    pub service: Arc<Service>,
    pub gate: Arc<TestGate>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header, or nothing.
    pub fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).map(|value| value.to_str().expect("it is ASCII"));
        value.unwrap_or("").to_owned()
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A small Patient.
pub fn patient(family: &str) -> String {
    format!(r#"{{"resourceType":"Patient","name":[{{"family":"{family}"}}]}}"#)
}

/// Awaits all at one time.
pub async fn join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut open: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, done) in &mut open {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    open.into_iter().filter_map(|(_, done)| done).collect()
}

impl Bed {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(Ticks::default());
        let gate = Arc::new(TestGate::default());
        let settings = Settings { limits, ..Settings::default() };
        let service = Arc::new(Service::new(settings, Arc::clone(&clock), Box::new(Counting(0))));
        service.add(Account {
            name: "fhir".parse::<AccountName>().expect("it is a name"),
            store: memory(clock),
            gate: Arc::clone(&gate) as Arc<dyn Gate>,
        });
        Self { service, gate }
    }

    pub async fn get(&self, below: &str) -> Answer {
        self.send("GET", below, &[], "").await
    }
    pub async fn post(&self, below: &str, body: &str) -> Answer {
        self.send("POST", below, &[], body).await
    }
    pub async fn put(&self, below: &str, body: &str) -> Answer {
        self.send("PUT", below, &[], body).await
    }
    pub async fn delete(&self, below: &str) -> Answer {
        self.send("DELETE", below, &[], "").await
    }

    /// To a path below the base, with one header.
    pub async fn one(&self, method: &str, below: &str, header: (&str, &str), body: &str) -> Answer {
        self.send(method, below, &[header], body).await
    }

    /// To a path below the base.
    pub async fn send(
        &self,
        method: &str,
        below: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let joint = if below.starts_with('?') { "" } else { "/" };
        self.raw(method, &format!("/fhir{joint}{below}"), headers, body).await
    }

    /// To any path.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "test.example");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let request = request.body(body).expect("the request is well-formed");
        let (parts, body) = self.service.answer(request, Scheme::Http).await.into_parts();
        let body = body.collect().await.expect("it is whole").to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

/// An empty store in memory that writes in epoch 1.
fn memory(clock: Arc<dyn Clock>) -> Arc<dyn AccountStore> {
    let place =
        Place { disk: Arc::new(SimDisk::new()), log_dir: "log".to_owned(), engine: Engine::Memory };
    let failed = Box::new(|error| panic!("the log failed: {error}"));
    let account =
        store::Account::open(place, store::Settings::default(), clock, &|_, _| {}, failed)
            .expect("a fresh store opens");
    let term = store::Term {
        epoch: Epoch::new(1),
        fork: Fork::ZERO,
        origin: (MemberId::new(1), BootId::new(1)),
        stamp_floor: Stamp::ZERO,
        stamp_ceiling: Stamp::MAX,
    };
    account.core().set_term(term).expect("nothing is in flight");
    Arc::new(account)
}
