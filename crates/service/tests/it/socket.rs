//! The server on a real socket: an orderly end, and connections that go on.

use crate::bed::Bed;
use base::Span;
use service::Drained;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

#[tokio::test]
async fn requests_under_way_are_answered_before_the_end() {
    let bed = Bed::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (stop, stopped) = oneshot::channel::<()>();
    let service = Arc::clone(&bed.service);
    let server = tokio::spawn(async move {
        let stopped = async { _ = stopped.await };
        service::serve(service, listener, None, stopped, Span::from_secs(5)).await
    });
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let body = r#"{"resourceType":"Patient"}"#;
    let head =
        format!("POST /fhir/Patient HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    // The second half of the body comes after the stop.
    stream.write_all(head.as_bytes()).await.expect("it is open");
    stream.write_all(&body.as_bytes()[..10]).await.expect("it is open");
    bed.gate.until_asked().await;
    stop.send(()).expect("the server runs");
    stream.write_all(&body.as_bytes()[10..]).await.expect("it is open");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer, then the end");
    assert!(text.starts_with("HTTP/1.1 201 Created\r\n"), "{text}");
    assert_eq!(server.await.expect("the server ended"), Drained::Whole);
    assert!(TcpStream::connect(address).await.is_err());
}

/// All that comes back for these bytes.
async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let (mut read, mut write) = stream.split();
    let mut text = String::new();
    // What is refused by its head may be closed before all of it is sent.
    let (_, _) = tokio::join!(write.write_all(request.as_bytes()), read.read_to_string(&mut text));
    text
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_refused_in_each_case() {
    let bed = Bed::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let service = Arc::clone(&bed.service);
    let never = std::future::pending();
    tokio::spawn(service::serve(service, listener, None, never, Span::from_secs(5)));
    let get = |path: &str, headers: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
    };
    let long = |bytes: usize| format!("/fhir/Patient?name={}", "x".repeat(bytes));
    let wide = |bytes: usize| format!("x-a: {}\r\n", "x".repeat(bytes));
    for (request, status, limit) in [
        (get(&long(60_000), ""), 414, "url_bytes of 16384"),
        (get("/health/live", &wide(100_000)), 431, "header_bytes of 65536"),
    ] {
        let answer = exchange(address, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        assert!(answer.contains("OperationOutcome") && answer.contains(limit), "{answer}");
    }
    // Beyond what is read of a head there is a status and no more (docs/reference/http.md).
    for (request, status) in [
        (get(&long(70_000), ""), 414),
        (get("/health/live", &"x-a: b\r\n".repeat(101)), 431),
        ("no request at all\r\n\r\n".to_owned(), 400),
        ("GET /health/live HTTP/3.7\r\nhost: x\r\n\r\n".to_owned(), 400),
    ] {
        let answer = exchange(address, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        assert!(answer.contains("content-length: 0\r\n"), "{answer}");
    }
    assert!(exchange(address, &get("/health/live", "")).await.starts_with("HTTP/1.1 200 "));
}
