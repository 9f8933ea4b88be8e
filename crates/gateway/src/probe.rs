//! Asking the regions, all the time: often while requests wait, seldom while all is well.

use crate::upstream::Upstream;
use crate::{Routes, Status};
use base::{Clock, MemberId};
use parking_lot::RwLock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

const SELDOM: Duration = Duration::from_millis(250);
const OFTEN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(1000);

/// What the gateway knows, shared by all its tasks.
pub struct Known {
    /// The routes.
    pub routes: RwLock<Routes>,
    /// Raised whenever a route may have changed.
    pub news: watch::Sender<u64>,
    /// Requests that wait for a route.
    pub waiting: AtomicU64,
    /// Told when the first of them begins to wait.
    pub hurry: Notify,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Known {
    /// Nothing but the regions of a roster.
    #[must_use]
    pub fn new(routes: Routes, clock: Arc<dyn Clock>) -> Self {
        let (routes, waiting) = (RwLock::new(routes), AtomicU64::new(0));
        Self { routes, news: watch::Sender::new(0), waiting, hurry: Notify::new(), clock }
    }

    /// Tells those that wait to look again.
    pub fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    fn learn(&self, from: MemberId, report: &Status) {
        let now = self.clock.boot();
        if self.routes.write().learn(from, report, now) {
            self.tell();
        }
    }
}

/// Keeps asking every region that the routes name, each by itself: a silent one delays no other.
pub async fn probe_all(known: Arc<Known>, upstream: Upstream) {
    let mut probed = BTreeSet::new();
    let mut news = known.news.subscribe();
    loop {
        let regions: Vec<MemberId> = known.routes.read().regions().map(|(id, _, _)| id).collect();
        for region in regions {
            if probed.insert(region) {
                tokio::spawn(probe(known.clone(), upstream.clone(), region));
            }
        }
        if news.changed().await.is_err() {
            return;
        }
    }
}

async fn probe(known: Arc<Known>, upstream: Upstream, region: MemberId) {
    loop {
        if let Some(report) = upstream.status(region, PATIENCE).await {
            known.learn(region, &report);
        }
        let waiting = known.waiting.load(Ordering::Relaxed) > 0;
        if waiting {
            tokio::time::sleep(OFTEN).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(SELDOM) => {}
                () = known.hurry.notified() => {}
            }
        }
    }
}
