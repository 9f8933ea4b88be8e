//! An operator's way to the regions.

use super::At;
use crate::config::Config;
use crate::exit::{Misconfigured, Refused};
use crate::process;
use ::gateway::{AccountStatus, MemberStatus, Resolve, Status, Upstream, empty, url};
use anyhow::Context;
use base::MemberId;
use bytes::Bytes;
use control::{Kind, Member, Roster};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long a status may take.
const STATUS_WAIT: Duration = Duration::from_secs(3);
/// How long a command may take: a switchover drains for up to 10 s.
const COMMAND_WAIT: Duration = Duration::from_secs(60);
/// How long a new primary may take until it answers clients.
const OPEN_WAIT: Duration = Duration::from_secs(10);
/// How long until it is asked again.
const LOOK: Duration = Duration::from_millis(100);
const ANSWER_BYTES: usize = 256 << 20;

/// Connected with an operator's credentials, or a member's own, which may only look. Holds what
/// the regions said when they were asked: each is asked once.
pub struct Operator {
    runtime: Runtime,
    upstream: Upstream,
    roster: Roster,
    told: BTreeMap<MemberId, Status>,
}

type Addresses = RwLock<BTreeMap<MemberId, String>>;

impl Operator {
    /// Finds credentials and members, and asks every region how it stands.
    pub fn new(at: &At) -> anyhow::Result<Self> {
        let (own, is_operator) = match (&at.operator, &at.config) {
            (Some(folder), _) => (folder.clone(), true),
            (None, Some(file)) => {
                let data = Config::read(file)?.data;
                let operator = data.join("operator");
                if operator.join("tls").is_dir() { (operator, true) } else { (data, false) }
            }
            (None, None) => {
                return Err(Misconfigured("give --config or --operator".to_owned()).into());
            }
        };
        let read = control::read_roster(&own)?;
        let roster = newest_roster(&own, &read);
        let credentials = control::read_credentials(&own.join("tls"))?;
        let runtime = process::runtime()?;
        let addresses: Arc<Addresses> = Arc::default();
        let known = addresses.clone();
        let resolve: Resolve = Arc::new(move |id| known.read().get(&id).cloned());
        let upstream = {
            let _inside = runtime.enter();
            Upstream::new(&credentials, resolve)?
        };
        let mut operator = Self { runtime, upstream, roster, told: BTreeMap::new() };
        operator.ask(&addresses);
        if is_operator && operator.roster != read {
            // Without it, the next command asks again.
            if let Err(error) = control::write_roster(&own, &operator.roster) {
                tracing::warn!(%error, "the members that joined are not kept");
            }
        }
        Ok(operator)
    }

    /// Asks the regions that are known, and then those that they tell of: an operator's credentials
    /// are made before others join, and may lie where no member tells of them. One that is silent
    /// is asked again only where another says that it is elsewhere.
    fn ask(&mut self, addresses: &Addresses) {
        let mut asked = BTreeMap::new();
        loop {
            let known: Vec<_> =
                self.roster.regions().map(|member| (member.id, member.serve.clone())).collect();
            *addresses.write() = known.iter().cloned().collect();
            let is_due = |(id, at): &(MemberId, String)| {
                !self.told.contains_key(id) && asked.get(id) != Some(at)
            };
            let due: Vec<_> = known.into_iter().filter(is_due).collect();
            if due.is_empty() {
                return;
            }
            let asking: Vec<_> = due
                .iter()
                .map(|&(id, _)| {
                    let upstream = self.upstream.clone();
                    let work = async move { upstream.status(id, STATUS_WAIT).await };
                    (id, self.runtime.spawn(work))
                })
                .collect();
            for (id, answer) in asking {
                if let Ok(Some(status)) = self.runtime.block_on(answer) {
                    self.learn(&status.members);
                    self.told.insert(id, status);
                }
            }
            asked.extend(due);
        }
    }

    fn learn(&mut self, told: &[MemberStatus]) {
        for member in told.iter().filter_map(member) {
            match self.roster.members.iter_mut().find(|known| known.id == member.id) {
                Some(known) => known.serve = member.serve,
                None => self.roster.members.push(member),
            }
        }
    }

    /// The name of a member.
    pub fn name(&self, id: &str) -> String {
        let member = id.parse().ok().and_then(|id| self.roster.by_id(id));
        member.map_or_else(|| id.to_owned(), |member| member.name.as_str().to_owned())
    }

    /// What every region said; none where one did not answer.
    pub fn statuses(&self) -> impl Iterator<Item = (&Member, Option<&Status>)> {
        self.roster.regions().map(|region| (region, self.told.get(&region.id)))
    }

    /// The region that says it is the open primary of an account, and its word.
    pub fn primary(&self, account: &str) -> anyhow::Result<(MemberId, &AccountStatus)> {
        self.statuses()
            .find_map(|(region, status)| Some((region.id, acting(status?, account)?)))
            .ok_or_else(|| {
                let message =
                    format!("no region says that it is the open primary of account {account}");
                Refused(message).into()
            })
    }

    /// Waits until a region says that it is the open primary of an account in a later epoch; tells
    /// whether one did in time.
    pub fn opens(&self, account: &str, after: u64) -> bool {
        let opened = async {
            loop {
                for region in self.roster.regions() {
                    let status = self.upstream.status(region.id, STATUS_WAIT).await;
                    let told = status.as_ref().and_then(|status| acting(status, account));
                    if told.is_some_and(|told| told.epoch > after) {
                        return;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        self.runtime.block_on(async { tokio::time::timeout(OPEN_WAIT, opened).await }).is_ok()
    }

    /// Sends one request to a region, and takes the JSON of its answer.
    pub fn request(
        &self,
        region: MemberId,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let bytes = self.fetch(region, method, path, body)?;
        serde_json::from_slice(&bytes).context("the region's answer is not JSON")
    }

    /// Sends one request to a region, and takes the bytes of its answer.
    pub fn fetch(
        &self,
        region: MemberId,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Bytes> {
        let body = match body {
            Some(value) => {
                Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed()
            }
            None => empty(),
        };
        let request = Request::builder()
            .method(method)
            .uri(url(region, path))
            .header(header::HOST, "admin")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)?;
        let silent = || Refused("the region did not answer".to_owned());
        let work = async {
            let answer = self.upstream.send(request).await.map_err(|_| silent())?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
            let bytes = body.map_err(|_| silent())?.to_bytes();
            Ok::<_, anyhow::Error>((status, bytes))
        };
        let limited = async { tokio::time::timeout(COMMAND_WAIT, work).await };
        let (status, bytes) = self.runtime.block_on(limited).map_err(|_| silent())??;
        if status == StatusCode::OK {
            return Ok(bytes);
        }
        let told: Option<Value> = serde_json::from_slice(&bytes).ok();
        let told = told.as_ref().and_then(|value| value["error"].as_str());
        Err(Refused(told.unwrap_or("the region refused").to_owned()).into())
    }
}

/// The operator's folder was written at `init`; the member beside it knows who joined since.
fn newest_roster(own: &Path, read: &Roster) -> Roster {
    match own.parent().map(control::read_roster) {
        Some(Ok(beside)) if beside.cluster == read.cluster => beside,
        _ => read.clone(),
    }
}

/// What a region says of an account, if it is its open primary.
fn acting<'a>(status: &'a Status, account: &str) -> Option<&'a AccountStatus> {
    let acts =
        |told: &&AccountStatus| told.account == account && told.open && told.role == "primary";
    status.accounts.iter().find(acts)
}

/// A member as a region tells of it; what an operator does not need stays empty.
fn member(told: &MemberStatus) -> Option<Member> {
    let kind = Kind::from_name(&told.kind)?;
    let (name, id) = (told.name.parse().ok()?, told.id.parse().ok()?);
    let (peer, serve) = (told.peer.clone(), told.serve.clone());
    Some(Member { name, id, kind, peer, serve, ship: String::new() })
}
