//! Operators' commands at a region. How it stands is for every member of the cluster to see;
//! changing things, and what holds patient data, is for operators.

use super::accounts::Open;
use super::http::{Answer, bytes, json, refuse};
use super::{Region, quarantine, status};
use base::{AccountName, Epoch, ErrorKind, MemberName, Seq};
use control::{Kind, Subject};
use dr::Request as Asked;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::sync::Arc;
use store::AccountStore;

const BODY_BYTES: usize = 64 << 10;

/// A command's body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    account: AccountName,
    #[serde(default)]
    to: Option<MemberName>,
    epoch: Option<u64>,
}

/// Answers a path below `/admin/`.
pub async fn answer(region: &Arc<Region>, caller: Subject, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_start_matches("/admin/").split('/').collect();
    let commands = request.method() == Method::POST;
    if commands && caller.kind != Kind::Operator {
        return refuse(StatusCode::FORBIDDEN, "only an operator's certificate may command");
    }
    if parts.first() == Some(&"quarantine") && caller.kind != Kind::Operator {
        let reason = "only an operator's certificate may look into the quarantine";
        return refuse(StatusCode::FORBIDDEN, reason);
    }
    match parts[..] {
        ["dr", verb @ ("switchover" | "failback")] if commands => {
            command(region, verb, request).await
        }
        ["digest", account, seq] if !commands => digest(region, account, seq),
        ["quarantine", account] if !commands => blocking(region, account, quarantine::list).await,
        ["quarantine", account, "export"] if !commands => {
            blocking(region, account, quarantine::export).await
        }
        ["quarantine", account, id] if !commands => {
            let id = id.to_owned();
            blocking(region, account, move |open| quarantine::show(open, &id)).await
        }
        _ => refuse(StatusCode::NOT_FOUND, "no such command"),
    }
}

async fn command(region: &Arc<Region>, verb: &str, request: Request<Incoming>) -> Answer {
    let body = match Limited::new(request.into_body(), BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the command is too long"),
    };
    let command: Command = match serde_json::from_slice(&body) {
        Ok(command) => command,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let replaces = command.epoch.map(Epoch::new);
    let account = command.account;
    let asked = match (verb, command.to) {
        ("switchover", Some(to)) => {
            let known = region.member.roster.borrow().by_name(&to).map(|member| member.id);
            match known {
                Some(to) => Asked::Switchover { account, to, replaces },
                None => return refuse(StatusCode::BAD_REQUEST, "no region has that name"),
            }
        }
        ("switchover", None) => return refuse(StatusCode::BAD_REQUEST, "to which region?"),
        _ => Asked::Failback { account, replaces },
    };
    tracing::info!(?asked, "an operator asks");
    match region.member.driver.ask(asked).await {
        Some(Ok(outcome)) => json(StatusCode::OK, &object!({ "outcome": outcome })),
        Some(Err(error)) => refuse(code(error.kind()), &error.to_string()),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the region is stopping"),
    }
}

fn code(kind: ErrorKind) -> StatusCode {
    StatusCode::from_u16(kind.http().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn open(region: &Region, account: &str) -> Option<Open> {
    account.parse().ok().and_then(|name| region.accounts.get(&name))
}

fn digest(region: &Region, account: &str, seq: &str) -> Answer {
    let digest = open(region, account).zip(seq.parse().ok());
    let digest = digest.and_then(|(open, seq)| open.store.digest(Seq::new(seq)));
    match digest {
        Some(digest) => {
            let value: Value = object!({
                "position": digest.position.to_string(),
                "digest": status::digest_text(&digest),
            });
            json(StatusCode::OK, &value)
        }
        None => refuse(StatusCode::NOT_FOUND, "no digest at that place, or not any more"),
    }
}

/// Reads of the log, where they hold up no other request.
async fn blocking(
    region: &Region,
    account: &str,
    work: impl FnOnce(&Open) -> anyhow::Result<quarantine::Told> + Send + 'static,
) -> Answer {
    let Some(open) = open(region, account) else {
        return refuse(StatusCode::NOT_FOUND, "no such account");
    };
    match tokio::task::spawn_blocking(move || work(&open)).await {
        Ok(Ok(quarantine::Told::Json(value))) => json(StatusCode::OK, &value),
        Ok(Ok(quarantine::Told::Lines(lines))) => {
            bytes(StatusCode::OK, "application/x-ndjson", lines.into())
        }
        Ok(Ok(quarantine::Told::Nothing)) => {
            refuse(StatusCode::NOT_FOUND, "no such commit in quarantine")
        }
        Ok(Err(error)) => {
            tracing::error!(error = format!("{error:#}"), "the quarantine cannot be read");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "the quarantine cannot be read")
        }
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the read was ended"),
    }
}
