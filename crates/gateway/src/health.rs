//! `/health/…` of the gateway, for any load balancer (DESIGN 4.6).

use crate::answer::{self, Answer};
use crate::probe::Known;
use base::AccountName;
use http::StatusCode;
use serde_json::json;

/// Answers a probe: `live`, `ready`, `primary?account=`.
pub fn answer(known: &Known, probe: &str, query: Option<&str>) -> Answer {
    let routes = known.routes.read();
    match probe {
        "live" => answer::health(true, &json!({ "live": true })),
        "ready" => {
            let accounts: Vec<_> = routes
                .accounts()
                .filter_map(|account| routes.primary(account).map(|known| (account, known)))
                .map(|(account, (_, region, reign, open))| {
                    json!({
                        "account": account.as_str(),
                        "primary": region,
                        "epoch": reign.epoch,
                        "open": open,
                    })
                })
                .collect();
            answer::health(!accounts.is_empty(), &json!({ "accounts": accounts }))
        }
        "primary" => {
            let named = query
                .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("account=")));
            let account = named.and_then(|name| name.parse::<AccountName>().ok());
            let known = account.as_ref().and_then(|account| routes.primary(account));
            match known {
                Some((_, region, reign, true)) => {
                    answer::health(true, &json!({ "primary": region, "epoch": reign.epoch }))
                }
                Some(_) => answer::health(false, &json!({ "reason": "not-primary" })),
                None => answer::health(false, &json!({ "reason": "dead" })),
            }
        }
        _ => answer::refuse(StatusCode::NOT_FOUND, "not-found", "no such probe"),
    }
}
