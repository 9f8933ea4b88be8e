//! An operator's way to the regions.

use super::At;
use crate::config::Config;
use crate::exit::{Misconfigured, Refused};
use crate::process;
use ::gateway::{MemberStatus, Resolve, Status, Upstream, empty, url};
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
const ANSWER_BYTES: usize = 256 << 20;

/// Connected with an operator's credentials, or a member's own, which may only look.
pub struct Operator {
    runtime: Runtime,
    upstream: Upstream,
    roster: Roster,
}

impl Operator {
    /// Finds credentials and members.
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
        let roster = Self::newest_roster(&own)?;
        let credentials = control::read_credentials(&own.join("tls"))?;
        let runtime = process::runtime()?;
        let addresses: Arc<RwLock<BTreeMap<MemberId, String>>> = Arc::default();
        let known = addresses.clone();
        let resolve: Resolve = Arc::new(move |id| known.read().get(&id).cloned());
        let upstream = {
            let _inside = runtime.enter();
            Upstream::new(&credentials, resolve)?
        };
        let mut operator = Self { runtime, upstream, roster };
        operator.learn(&addresses);
        if is_operator && operator.roster != read {
            // Without it, the next command asks again.
            if let Err(error) = control::write_roster(&own, &operator.roster) {
                tracing::warn!(%error, "the members that joined are not kept");
            }
        }
        Ok(operator)
    }

    /// Asks the known regions who else is there: an operator's credentials are made before others
    /// join, and may lie where no member tells of them.
    fn learn(&mut self, addresses: &RwLock<BTreeMap<MemberId, String>>) {
        let resolved =
            |roster: &Roster| roster.regions().map(|m| (m.id, m.serve.clone())).collect();
        *addresses.write() = resolved(&self.roster);
        let told: Vec<_> = self
            .statuses()
            .into_iter()
            .filter_map(|(_, status)| status)
            .flat_map(|status| status.members)
            .filter_map(member)
            .collect();
        for member in told {
            match self.roster.members.iter_mut().find(|known| known.id == member.id) {
                Some(known) => known.serve = member.serve,
                None => self.roster.members.push(member),
            }
        }
        *addresses.write() = resolved(&self.roster);
    }

    /// The operator's folder was written at `init`; the member beside it knows who joined since.
    fn newest_roster(own: &Path) -> anyhow::Result<Roster> {
        let roster = control::read_roster(own)?;
        let beside = own.parent().map(control::read_roster);
        match beside {
            Some(Ok(other)) if other.cluster == roster.cluster => Ok(other),
            _ => Ok(roster),
        }
    }

    /// The regions.
    pub fn regions(&self) -> Vec<&Member> {
        self.roster.regions().collect()
    }

    /// The name of a member.
    pub fn name(&self, id: &str) -> String {
        let member = id.parse().ok().and_then(|id| self.roster.by_id(id));
        member.map_or_else(|| id.to_owned(), |member| member.name.as_str().to_owned())
    }

    /// Asks every region at once; none where one does not answer.
    pub fn statuses(&self) -> Vec<(&Member, Option<Status>)> {
        let regions = self.regions();
        let asked: Vec<_> = regions
            .iter()
            .map(|region| {
                let (upstream, id) = (self.upstream.clone(), region.id);
                self.runtime.spawn(async move { upstream.status(id, STATUS_WAIT).await })
            })
            .collect();
        let answers = asked.into_iter().map(|task| self.runtime.block_on(task).ok().flatten());
        regions.iter().copied().zip(answers).collect()
    }

    /// The region that says it is the open primary of an account, and its word.
    pub fn primary(&self, account: &str) -> anyhow::Result<(MemberId, gateway::AccountStatus)> {
        for (region, status) in self.statuses() {
            let told = status.and_then(|status| {
                status.accounts.into_iter().find(|told| told.account == account)
            });
            if let Some(told) = told
                && told.open
                && told.role == "primary"
            {
                return Ok((region.id, told));
            }
        }
        let message = format!("no region says that it is the open primary of account {account}");
        Err(Refused(message).into())
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

/// A member as a region tells of it; what an operator does not need stays empty.
fn member(told: MemberStatus) -> Option<Member> {
    let kinds = [Kind::Region, Kind::Witness, Kind::Gateway, Kind::Operator];
    let kind = kinds.into_iter().find(|kind| kind.name() == told.kind)?;
    let (name, id) = (told.name.parse().ok()?, told.id.parse().ok()?);
    Some(Member { name, id, kind, peer: told.peer, serve: told.serve, ship: String::new() })
}
