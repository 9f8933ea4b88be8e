//! What a region tells of itself.

use super::Region;
use super::accounts::Open;
use ::gateway::{AccountStatus, MemberStatus, Status};
use base::{Hash, Seq};
use dr::{Gate, Mode, Role, SecondaryState, View};
use replication::Gate as _;
use store::AccountStore;

/// Digests are told at positions that both regions pass: whole multiples of this many commits,
/// far enough apart that a secondary which is a little behind tells the same one most of the time.
/// While nothing is written it is the end.
const DIGEST_STEP: u64 = 1024;
/// The same, while there are fewer.
const DIGEST_STEP_EARLY: u64 = 64;

/// Its whole word.
pub fn tell(region: &Region) -> Status {
    let identity = &region.member.identity;
    let views = region.member.driver.known();
    let members = region.member.roster.borrow().members.iter().map(member).collect();
    let unread = region.accounts.names().into_iter().filter(|name| !views.contains_key(name));
    let mut accounts: Vec<_> = views.values().map(|view| account(region, view)).collect();
    accounts.extend(unread.map(|name| AccountStatus {
        account: name.as_str().to_owned(),
        role: "starting".to_owned(),
        ..AccountStatus::default()
    }));
    Status {
        id: identity.id.to_string(),
        name: identity.name.as_str().to_owned(),
        kind: identity.kind.name().to_owned(),
        boot: region.member.boot.to_string(),
        members,
        accounts,
    }
}

fn member(member: &control::Member) -> MemberStatus {
    MemberStatus {
        id: member.id.to_string(),
        name: member.name.as_str().to_owned(),
        kind: member.kind.name().to_owned(),
        peer: member.peer.clone(),
        serve: member.serve.clone(),
    }
}

fn account(region: &Region, view: &View) -> AccountStatus {
    let here = region.accounts.get(&view.account);
    let mut told = AccountStatus {
        account: view.account.as_str().to_owned(),
        role: role(&view.role).to_owned(),
        open: here.as_ref().is_some_and(|open| is_open(region, view, open)),
        compute: view.compute.map(|id| id.to_string()),
        sentence: view.sentence.clone(),
        ..AccountStatus::default()
    };
    if let Some(value) = &view.value {
        told.generation = value.reign.generation.get();
        told.epoch = value.reign.epoch.get();
        told.fork = value.fork.get();
        told.home = value.home.to_string();
        told.primary = value.primary.member.to_string();
        told.secondary = value.secondary.map(|id| id.to_string());
        told.secondary_state = state(value.secondary_state).to_owned();
        told.mode = mode(value.mode).to_owned();
    }
    if let Some(open) = here {
        let status = open.store.status();
        told.position = Some(status.durable.to_string());
        told.applied = Some(status.applied.to_string());
        let applied = status.applied.seq;
        let every = if applied.get() < DIGEST_STEP { DIGEST_STEP_EARLY } else { DIGEST_STEP };
        let step = Seq::new(applied.get() / every * every);
        let at = if open.is_quiet(applied, region.clock.boot()) { applied } else { step };
        if let Some(digest) = open.store.digest(at) {
            told.digest_at = Some(digest.position.to_string());
            told.digest = Some(digest_text(&digest));
        }
        told.quarantined = open.quarantined();
        if matches!(view.role, Role::Primary { secondary: Some(_), .. }) {
            told.lag_ms = Some(open.gate.lag().ms());
            told.rejoin = open.rejoin.lock().clone();
        }
    }
    told
}

/// Whether the gate lets a request through at this moment: the lease is looked at too.
fn is_open(region: &Region, view: &View, open: &Open) -> bool {
    match view.gate {
        Gate::Open(term) => region.clock.boot() < term.valid_until && open.gate.admit().is_ok(),
        Gate::Closed { .. } => false,
    }
}

/// A digest as one hash over its shards.
pub fn digest_text(digest: &store::Digest) -> String {
    let bytes: Vec<u8> = digest.shards.iter().flat_map(|shard| shard.to_le_bytes()).collect();
    Hash::of(&bytes).to_text()
}

const fn role(role: &Role) -> &'static str {
    match role {
        Role::Starting => "starting",
        Role::Primary { .. } => "primary",
        Role::Secondary { .. } => "secondary",
        Role::Bystander => "bystander",
        Role::Stopped { .. } => "stopped",
    }
}

const fn state(state: SecondaryState) -> &'static str {
    match state {
        SecondaryState::None => "none",
        SecondaryState::Seeding => "seeding",
        SecondaryState::InSync => "in-sync",
        SecondaryState::Lagging => "lagging",
        SecondaryState::Diverged => "diverged",
    }
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Async { .. } => "async",
        Mode::SyncStrict => "sync-strict",
        Mode::SyncDegrade => "sync-degrade",
    }
}
