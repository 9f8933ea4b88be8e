//! A TCP link that delays what passes, and can be cut with all that is in flight.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Chunks in flight in one direction of one connection, at most.
const IN_FLIGHT_CHUNKS: usize = 4096;
/// Bytes of a chunk, at most.
const CHUNK_BYTES: usize = 64 << 10;

/// A running link. Dropping it cuts it for good.
pub struct DelayedLink {
    cuts: watch::Sender<u64>,
    acceptor: JoinHandle<()>,
}

impl DelayedLink {
    /// Listens at `listen` and passes each connection on to `target`, each byte `delay` later.
    pub async fn start(
        listen: SocketAddr,
        target: SocketAddr,
        delay: Duration,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let (cuts, cut) = watch::channel(0);
        let acceptor = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, target, delay, cut.clone()));
            }
        });
        Ok(Self { cuts, acceptor })
    }

    /// Breaks every connection; what is in flight is lost. New connections pass again.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

impl Drop for DelayedLink {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut();
    }
}

async fn pass(near: TcpStream, target: SocketAddr, delay: Duration, mut cut: watch::Receiver<u64>) {
    cut.mark_unchanged();
    let Ok(far) = TcpStream::connect(target).await else { return };
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        () = carry(near_read, far_write, delay) => {}
        () = carry(far_read, near_write, delay) => {}
        _ = cut.changed() => {}
    }
}

/// Carries one direction until either end closes.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT_CHUNKS);
    let read = async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            if sender.send((Instant::now() + delay, chunk[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_pass_after_the_delay_and_a_cut_breaks_the_connection() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let target = server.local_addr().expect("bound");
        let probe = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let listen = probe.local_addr().expect("bound");
        drop(probe);
        let delay = Duration::from_millis(50);
        let link = DelayedLink::start(listen, target, delay).await.expect("starts");

        let mut client = TcpStream::connect(listen).await.expect("connects");
        let (mut served, _) = server.accept().await.expect("accepts");
        let sent = Instant::now();
        client.write_all(b"hello").await.expect("sends");
        let mut got = [0; 5];
        served.read_exact(&mut got).await.expect("receives");
        assert_eq!(&got, b"hello");
        assert!(sent.elapsed() >= delay);

        client.write_all(b"lost").await.expect("sends");
        link.cut();
        let mut rest = Vec::new();
        served.read_to_end(&mut rest).await.ok();
        assert!(rest.is_empty(), "what was in flight is gone");
    }
}
