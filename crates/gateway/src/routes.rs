//! Who serves which account, as far as this gateway was told.
//!
//! Reports are ordered by (generation, epoch): a higher one always wins, an equal one counts only
//! from the primary it names. A wrong route costs a refusal and a retry, never a wrong answer: the
//! region's own gate decides.

use crate::Status;
use base::{AccountName, BootTime, MemberId, Span};
use std::collections::BTreeMap;

/// First and longest pause before a region that failed is tried again.
const AVOID: (Span, Span) = (Span::from_ms(20), Span::from_ms(500));
/// How long the way through another region is left after it failed.
const DIRECT: Span = Span::from_secs(5);

/// Which epoch a report is of; comparison is by generation first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reign {
    /// Cluster generation.
    pub generation: u32,
    /// Epoch.
    pub epoch: u64,
}

#[derive(Clone, Debug)]
struct Account {
    reign: Reign,
    primary: MemberId,
    open: bool,
    compute: Option<MemberId>,
}

#[derive(Clone, Debug, Default)]
struct Region {
    name: String,
    serve: String,
    heard: Option<BootTime>,
    avoid_until: BootTime,
    pause: Span,
    direct_until: BootTime,
}

/// Where to send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The region to send to.
    pub region: MemberId,
    /// The primary: the same region, or the one it will pass the request to.
    pub primary: MemberId,
    /// The reign known at the time.
    pub reign: Reign,
}

/// Where to send a request for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// There.
    To(Target),
    /// Nowhere now; look again at this time, or when something is learned.
    Wait(BootTime),
    /// Every region was asked, and none knows such an account.
    NoSuchAccount,
}

/// What the gateway knows.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    regions: BTreeMap<MemberId, Region>,
    accounts: BTreeMap<AccountName, Account>,
}

impl Routes {
    /// Knows of a region, or learns its new address. True when that is news.
    pub fn add_region(&mut self, id: MemberId, name: &str, serve: &str) -> bool {
        let region = self.regions.entry(id).or_default();
        let news = region.name != name || region.serve != serve;
        (region.name, region.serve) = (name.to_owned(), serve.to_owned());
        news
    }

    /// The regions: id, name, address.
    pub fn regions(&self) -> impl Iterator<Item = (MemberId, &str, &str)> {
        self.regions.iter().map(|(id, region)| (*id, &region.name[..], &region.serve[..]))
    }

    /// Where a region is reached.
    #[must_use]
    pub fn address(&self, region: MemberId) -> Option<&str> {
        self.regions.get(&region).map(|region| &region.serve[..])
    }

    /// Takes a region's report. True when a route may have changed, so that waiting requests look
    /// again.
    pub fn learn(&mut self, from: MemberId, report: &Status, now: BootTime) -> bool {
        let mut news = false;
        for member in report.members.iter().filter(|member| member.kind == "region") {
            if let Ok(id) = member.id.parse() {
                news |= self.add_region(id, &member.name, &member.serve);
            }
        }
        let region = self.regions.entry(from).or_default();
        news |= region.avoid_until > now || region.heard.is_none();
        (region.avoid_until, region.pause) = (now, Span::ZERO);
        // One that does not know yet whose its accounts are has not said which there are.
        if report.accounts.iter().all(|told| told.primary.parse::<MemberId>().is_ok()) {
            region.heard = Some(now);
        }
        for told in &report.accounts {
            let (Ok(name), Ok(primary)) = (told.account.parse(), told.primary.parse()) else {
                continue;
            };
            let reign = Reign { generation: told.generation, epoch: told.epoch };
            let compute = told.compute.as_deref().and_then(|id| id.parse().ok());
            let own = primary == from;
            let heard = Account { reign, primary, open: own && told.open, compute };
            news |= self.take(name, heard, own);
        }
        news
    }

    fn take(&mut self, name: AccountName, heard: Account, own: bool) -> bool {
        let Some(known) = self.accounts.get_mut(&name) else {
            self.accounts.insert(name, heard);
            return true;
        };
        if heard.reign > known.reign || (heard.reign == known.reign && own) {
            let same = heard.reign == known.reign
                && (heard.open, heard.compute) == (known.open, known.compute);
            *known = heard;
            return !same;
        }
        false
    }

    /// Takes what a refusal says: a higher epoch, and whose it is.
    pub fn refused(&mut self, account: &AccountName, epoch: u64, primary: MemberId) -> bool {
        let Some(known) = self.accounts.get_mut(account) else { return false };
        let higher = epoch > known.reign.epoch && self.regions.contains_key(&primary);
        if higher {
            known.reign.epoch = epoch;
            (known.primary, known.open, known.compute) = (primary, false, None);
        }
        higher
    }

    /// A region did not answer, or not usefully: leave it alone for a moment.
    pub fn failed(&mut self, target: Target, now: BootTime) {
        if let Some(region) = self.regions.get_mut(&target.region) {
            if target.region != target.primary {
                region.direct_until = now + DIRECT;
                return;
            }
            let doubled = region.pause + region.pause;
            region.pause = doubled.clamp(AVOID.0, AVOID.1);
            region.avoid_until = now + region.pause;
        }
    }

    /// A region answered.
    pub fn answered(&mut self, region: MemberId) {
        if let Some(region) = self.regions.get_mut(&region)
            && region.pause > Span::ZERO
        {
            (region.pause, region.avoid_until) = (Span::ZERO, BootTime::ZERO);
        }
    }

    /// Where a request for an account goes now.
    #[must_use]
    pub fn route(&self, account: &AccountName, now: BootTime) -> Route {
        let Some(known) = self.accounts.get(account) else {
            let all_told = self.regions.values().all(|region| region.heard.is_some());
            let none = self.regions.is_empty() || !all_told;
            return if none { Route::Wait(now + AVOID.1) } else { Route::NoSuchAccount };
        };
        let target =
            |region| Route::To(Target { region, primary: known.primary, reign: known.reign });
        let through = known.compute.filter(|region| *region != known.primary);
        if let Some(region) = through
            && let Some(state) = self.regions.get(&region)
            && state.avoid_until <= now
            && state.direct_until <= now
            && known.open
        {
            return target(region);
        }
        match self.regions.get(&known.primary) {
            Some(region) if region.avoid_until <= now => target(known.primary),
            Some(region) => Route::Wait(region.avoid_until),
            None => Route::Wait(now + AVOID.1),
        }
    }

    /// Whether a request under way to `target` waits for the wrong region by now.
    #[must_use]
    pub fn overtaken(&self, account: &AccountName, target: Target) -> bool {
        let known = self.accounts.get(account);
        known.is_some_and(|known| known.reign > target.reign && known.primary != target.primary)
    }

    /// The primary of an account and whether it said that it is open.
    #[must_use]
    pub fn primary(&self, account: &AccountName) -> Option<(MemberId, &str, Reign, bool)> {
        let known = self.accounts.get(account)?;
        let name = self.regions.get(&known.primary).map_or("", |region| &region.name[..]);
        Some((known.primary, name, known.reign, known.open))
    }

    /// The accounts known.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountName> {
        self.accounts.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccountStatus, MemberStatus};
    use proptest::prelude::*;

    const EAST: MemberId = MemberId::new(1);
    const WEST: MemberId = MemberId::new(2);
    const NOW: BootTime = BootTime::from_us(1_000_000_000);

    fn fhir() -> AccountName {
        "fhir".parse().expect("a name")
    }

    fn member(id: MemberId, name: &str) -> MemberStatus {
        let (id, name, kind) = (id.to_string(), name.to_owned(), "region".to_owned());
        MemberStatus { id, name, kind, peer: String::new(), serve: "127.0.0.1:1".to_owned() }
    }

    fn report(from: MemberId, epoch: u64, primary: MemberId, open: bool) -> Status {
        let account = AccountStatus {
            account: "fhir".to_owned(),
            generation: 1,
            epoch,
            open,
            primary: primary.to_string(),
            ..AccountStatus::default()
        };
        Status {
            id: from.to_string(),
            name: String::new(),
            kind: "region".to_owned(),
            boot: String::new(),
            members: vec![member(EAST, "east"), member(WEST, "west")],
            accounts: vec![account],
        }
    }

    fn to(route: Route) -> Option<MemberId> {
        match route {
            Route::To(target) => Some(target.region),
            _ => None,
        }
    }

    #[test]
    fn a_higher_epoch_wins_and_an_older_report_changes_nothing() {
        let mut routes = Routes::default();
        assert!(routes.learn(EAST, &report(EAST, 1, EAST, true), NOW));
        assert_eq!(to(routes.route(&fhir(), NOW)), Some(EAST));
        assert!(routes.learn(WEST, &report(WEST, 2, WEST, true), NOW));
        assert_eq!(to(routes.route(&fhir(), NOW)), Some(WEST));
        assert!(!routes.learn(EAST, &report(EAST, 1, EAST, true), NOW));
        assert_eq!(to(routes.route(&fhir(), NOW)), Some(WEST));
    }

    #[test]
    fn a_failed_region_rests_and_a_report_from_it_ends_that() {
        let mut routes = Routes::default();
        routes.learn(EAST, &report(EAST, 1, EAST, true), NOW);
        let Route::To(target) = routes.route(&fhir(), NOW) else { panic!("a route") };
        routes.failed(target, NOW);
        assert_eq!(routes.route(&fhir(), NOW), Route::Wait(NOW + AVOID.0));
        assert_eq!(to(routes.route(&fhir(), NOW + AVOID.0)), Some(EAST));
        assert!(routes.learn(EAST, &report(EAST, 1, EAST, true), NOW));
        assert_eq!(to(routes.route(&fhir(), NOW)), Some(EAST));
    }

    #[test]
    fn an_account_is_missing_only_when_every_region_said_so() {
        let mut routes = Routes::default();
        let other: AccountName = "other".parse().expect("a name");
        assert!(matches!(routes.route(&other, NOW), Route::Wait(_)));
        routes.learn(EAST, &report(EAST, 1, EAST, true), NOW);
        assert!(matches!(routes.route(&other, NOW), Route::Wait(_)), "west was not heard");
        let mut starting = report(WEST, 0, WEST, false);
        starting.accounts[0].primary = String::new();
        routes.learn(WEST, &starting, NOW);
        assert!(matches!(routes.route(&other, NOW), Route::Wait(_)), "west has just started");
        routes.learn(WEST, &report(WEST, 1, EAST, false), NOW);
        assert_eq!(routes.route(&other, NOW), Route::NoSuchAccount);
    }

    #[test]
    fn the_way_home_is_left_as_soon_as_it_fails() {
        let mut routes = Routes::default();
        let mut told = report(WEST, 2, WEST, true);
        told.accounts[0].compute = Some(EAST.to_string());
        routes.learn(EAST, &report(EAST, 2, WEST, false), NOW);
        routes.learn(WEST, &told, NOW);
        let Route::To(target) = routes.route(&fhir(), NOW) else { panic!("a route") };
        assert_eq!((target.region, target.primary), (EAST, WEST));
        routes.failed(target, NOW);
        assert_eq!(to(routes.route(&fhir(), NOW)), Some(WEST));
    }

    proptest! {
        /// Whatever the order of reports, the route is that of the highest epoch.
        #[test]
        fn the_highest_epoch_told_is_the_route(
            reports in prop::collection::vec((any::<bool>(), 0u64..6), 1..30),
        ) {
            let mut routes = Routes::default();
            // The protocol gives an epoch one primary: even ones are east's here.
            let primary = |epoch: u64| if epoch.is_multiple_of(2) { EAST } else { WEST };
            for (east, epoch) in &reports {
                let from = if *east { EAST } else { WEST };
                routes.learn(from, &report(from, *epoch, primary(*epoch), true), NOW);
            }
            let highest = reports.iter().map(|(_, epoch)| *epoch).max().expect("at least one");
            prop_assert_eq!(to(routes.route(&fhir(), NOW)), Some(primary(highest)));
        }
    }
}
