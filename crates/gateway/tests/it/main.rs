//! The gateway between real sockets: two regions that answer as they are told, and clients.

use base::{MemberId, MemberName};
use bytes::Bytes;
use control::{Authority, Credentials, Kind, Member, OsRng, Purpose, Roster, Subject, SystemClock};
use gateway::{AccountStatus, Gateway, GatewaySetup, HoldLimits, KEY_HEADER, MemberStatus, Status};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a region says and does; tests change it while it runs.
#[derive(Clone)]
struct Part {
    epoch: u64,
    primary: MemberId,
    open: bool,
    answer: StatusCode,
    applied: &'static str,
    /// Takes a request and never answers.
    silent: bool,
}

struct Region {
    id: MemberId,
    address: String,
    part: Mutex<Part>,
    /// Keys of the unsafe requests it took.
    keys: Mutex<Vec<String>>,
}

struct Lab {
    east: Arc<Region>,
    west: Arc<Region>,
    gateway: String,
}

fn member(region: &Region, name: &str) -> Member {
    let name: MemberName = name.parse().expect("a name");
    let (serve, kind) = (region.address.clone(), Kind::Region);
    Member { name, id: region.id, kind, peer: String::new(), serve, ship: String::new() }
}

impl Lab {
    async fn start(hold_ms: u64) -> Self {
        let cluster = MemberId::mint(&mut OsRng);
        let authority = Authority::create(cluster).expect("makes");
        let issue = |kind| {
            let id = MemberId::mint(&mut OsRng);
            let name = "someone".parse().expect("a name");
            (id, authority.issue(Subject { id, kind }, &name).expect("issues"))
        };
        let ((east, east_own), (west, west_own)) = (issue(Kind::Region), issue(Kind::Region));
        let part = |open| Part {
            epoch: 1,
            primary: east,
            open,
            answer: StatusCode::CREATED,
            applied: "no",
            silent: false,
        };
        let east = region(east, &east_own, part(true)).await;
        let west = region(west, &west_own, part(false)).await;
        let members = vec![member(&east, "east"), member(&west, "west")];
        let setup = GatewaySetup {
            credentials: issue(Kind::Gateway).1,
            roster: Roster { cluster, version: 1, members },
            limits: HoldLimits { hold_ms, ..HoldLimits::default() },
            clock: Arc::new(SystemClock),
            tls: None,
        };
        let gateway = Gateway::start(setup).expect("starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound").to_string();
        tokio::spawn(async move {
            gateway.serve(listener, std::future::pending(), Duration::ZERO).await;
        });
        Self { east, west, gateway: address }
    }

    async fn post(&self) -> (StatusCode, Option<String>) {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let request = Request::post(format!("http://{}/fhir/Patient", self.gateway));
        let request = request.body(Full::new(Bytes::from_static(b"{}"))).expect("a request");
        let answer = client.request(request).await.expect("the gateway answers");
        let applied = answer.headers().get("x-firebreak-applied");
        (answer.status(), applied.map(|said| said.to_str().expect("a word").to_owned()))
    }

    /// West takes over in epoch 2.
    fn promote_west(&self) {
        let mut part = self.west.part.lock();
        (part.epoch, part.primary, part.open) = (2, self.west.id, true);
    }
}

async fn region(id: MemberId, own: &Credentials, part: Part) -> Arc<Region> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound").to_string();
    let region = Arc::new(Region { id, address, part: Mutex::new(part), keys: Mutex::default() });
    let acceptor = TlsAcceptor::from(control::server(own, &[Purpose::Http]).expect("a config"));
    let serving = region.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (region, acceptor) = (serving.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let handler = service_fn(|request| answer(region.clone(), request));
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = builder.serve_connection(TokioIo::new(stream), handler).await;
            });
        }
    });
    region
}

async fn answer(
    region: Arc<Region>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let part = region.part.lock().clone();
    if request.uri().path() == gateway::STATUS_PATH {
        let status = serde_json::to_vec(&status(&region, &part)).expect("encodes");
        return Ok(Response::new(Full::new(status.into())));
    }
    if let Some(key) = request.headers().get(KEY_HEADER) {
        region.keys.lock().push(key.to_str().expect("text").to_owned());
    }
    request.into_body().collect().await.expect("a whole body");
    if part.silent {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = part.answer;
    if !part.answer.is_success() {
        let said = http::HeaderValue::from_static(part.applied);
        response.headers_mut().insert("x-firebreak-applied", said);
    }
    Ok(response)
}

fn status(region: &Region, part: &Part) -> Status {
    let account = AccountStatus {
        account: "fhir".to_owned(),
        generation: 1,
        epoch: part.epoch,
        open: part.open,
        primary: part.primary.to_string(),
        ..AccountStatus::default()
    };
    Status {
        id: region.id.to_string(),
        name: String::new(),
        kind: "region".to_owned(),
        boot: String::new(),
        members: Vec::<MemberStatus>::new(),
        accounts: vec![account],
    }
}

#[tokio::test]
async fn a_write_is_held_through_a_failover_and_sent_again_under_its_key() {
    let lab = Lab::start(20_000).await;
    assert_eq!(lab.post().await.0, StatusCode::CREATED);
    {
        let mut part = lab.east.part.lock();
        (part.silent, part.open) = (true, false);
    }
    let (east, taken) = (lab.east.clone(), lab.east.keys.lock().len());
    let promote = async {
        // East has the request, and does not answer any more: now west takes over.
        while east.keys.lock().len() == taken {
            tokio::task::yield_now().await;
        }
        lab.promote_west();
    };
    let ((status, _), ()) = tokio::join!(lab.post(), promote);
    assert_eq!(status, StatusCode::CREATED);
    let sent = lab.east.keys.lock().last().cloned();
    assert_eq!(lab.west.keys.lock().last().cloned(), sent, "the same key at both");
}

#[tokio::test]
async fn a_refusal_that_changed_nothing_is_held_until_the_next_primary_is_open() {
    let lab = Lab::start(20_000).await;
    lab.east.part.lock().answer = StatusCode::SERVICE_UNAVAILABLE;
    let (east, hold) = (lab.east.clone(), lab.post());
    let promote = async {
        while east.keys.lock().len() < 2 {
            tokio::task::yield_now().await;
        }
        lab.promote_west();
    };
    let ((status, _), ()) = tokio::join!(hold, promote);
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(lab.west.keys.lock().len(), 1);
}

#[tokio::test]
async fn what_nobody_takes_is_refused_and_told_as_it_is_known() {
    let lab = Lab::start(300).await;
    lab.east.part.lock().answer = StatusCode::SERVICE_UNAVAILABLE;
    let (status, applied) = lab.post().await;
    assert_eq!((status, applied.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("no")));
    lab.east.part.lock().applied = "unknown";
    let (status, applied) = lab.post().await;
    assert_eq!((status, applied.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("unknown")));
}

#[tokio::test]
async fn a_regions_own_verdict_is_passed_on_at_once() {
    let lab = Lab::start(20_000).await;
    for verdict in [StatusCode::BAD_REQUEST, StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED]
    {
        lab.east.part.lock().answer = verdict;
        assert_eq!(lab.post().await.0, verdict);
    }
    assert_eq!(lab.east.keys.lock().len(), 3, "each was sent once");
}
