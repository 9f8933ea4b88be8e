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
