//! `firebreak gateway`: the public endpoint. Several run side by side.

use crate::config::{self, Arguments, Config, PublicTls};
use crate::exit::Misconfigured;
use crate::process;
use ::gateway::{Gateway, GatewaySetup};
use control::{Kind, SystemClock};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long answers under way may take once it is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs a gateway until it is told to stop.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(config) = arguments.read()? else { return Ok(()) };
    config.expect(Kind::Gateway)?;
    process::log_to_stderr(&config.log)?;
    let known = control::read_identity(&config.data)?;
    if known.kind != Kind::Gateway {
        let (path, found) = (config.data.clone(), known.kind.name());
        return Err(control::Error::WrongKind { path, found, wanted: "gateway" }.into());
    }
    let address = config::address(config.listen()?)?;
    let tls = public_tls(&config, address)?;
    let setup = GatewaySetup {
        credentials: control::read_credentials(&config.data.join("tls"))?,
        roster: control::read_roster(&config.data)?,
        limits: config.hold,
        clock: Arc::new(SystemClock),
        tls,
    };
    process::runtime()?.block_on(async {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ::gateway::Error::Listen { address: address.to_string(), source })?;
        let gateway = Gateway::start(setup)?;
        tracing::info!(name = %config.name, %address, "gateway runs");
        gateway.serve(listener, process::stopped(), DRAIN).await;
        Ok(())
    })
}

fn unreadable(what: &str, file: &Path, error: &dyn std::error::Error) -> Misconfigured {
    Misconfigured(format!("{what} {}: {error}", file.display()))
}

/// TLS for a public address; without it only loopback, unless told `insecure`.
pub fn public_tls(
    config: &Config,
    address: SocketAddr,
) -> anyhow::Result<Option<Arc<rustls::ServerConfig>>> {
    let Some(PublicTls { certificate, key }) = &config.tls else {
        if address.ip().is_loopback() || config.insecure {
            return Ok(None);
        }
        let message = format!(
            "{address} is not a loopback address: give [tls] certificate and key, or insecure = true"
        );
        return Err(Misconfigured(message).into());
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("certificate", certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable("private key", key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(tls)))
}
