//! Mutual TLS from the cluster's authority; what a connection is for is its ALPN name.

use crate::authority::JOIN_NAME;
use crate::{Credentials, Error, Subject};
use base::Hash;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme, version,
};
use std::sync::Arc;

/// What a connection between members, or to one, is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Register, leases and the protocol.
    Control,
    /// Log shipping between regions.
    Shipping,
    /// A newcomer with a token.
    Join,
    /// HTTP: gateways, operators, passed requests.
    Http,
}

impl Purpose {
    /// The ALPN name, which carries the version of what is spoken.
    #[must_use]
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Control => b"firebreak-control/1",
            Self::Shipping => b"firebreak-shipping/1",
            Self::Join => b"firebreak-join/1",
            Self::Http => b"http/1.1",
        }
    }
    /// Reads it from a finished handshake.
    #[must_use]
    pub fn from_alpn(alpn: Option<&[u8]>) -> Option<Self> {
        [Self::Control, Self::Shipping, Self::Join, Self::Http]
            .into_iter()
            .find(|purpose| Some(purpose.alpn()) == alpn)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(ca: CertificateDer<'static>) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    Ok(Arc::new(roots))
}

fn verifier_failed(error: impl std::fmt::Display) -> Error {
    Error::Certificate(error.to_string())
}

/// For listening. Only `Join` may come without a certificate: check [`peer`] for all others.
pub fn server(own: &Credentials, purposes: &[Purpose]) -> Result<Arc<ServerConfig>, Error> {
    let roots = roots(own.ca()?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let verifier =
        if purposes.contains(&Purpose::Join) { verifier.allow_unauthenticated() } else { verifier };
    let verifier = verifier.build().map_err(verifier_failed)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(own.chain()?, own.key()?);
    let mut config = config?;
    config.alpn_protocols = purposes.iter().map(|purpose| purpose.alpn().to_vec()).collect();
    Ok(Arc::new(config))
}

/// For dialling someone whose id is known.
pub fn client(own: &Credentials, purpose: Purpose) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])?
        .with_root_certificates(roots(own.ca()?)?)
        .with_client_auth_cert(own.chain()?, own.key()?);
    let mut config = config?;
    config.alpn_protocols = vec![purpose.alpn().to_vec()];
    Ok(Arc::new(config))
}

/// The name to dial, which the certificate must carry.
#[must_use]
pub fn server_name(subject: Subject) -> ServerName<'static> {
    ServerName::try_from(subject.dns_name()).expect("hexadecimal and words make a DNS name")
}

/// The name to dial when only the authority's fingerprint is known.
pub(crate) fn join_name() -> ServerName<'static> {
    ServerName::try_from(JOIN_NAME).expect("a DNS name")
}

/// Who is on the other side, from the certificates of a finished handshake.
pub fn peer(certificates: Option<&[CertificateDer<'_>]>) -> Result<Subject, Error> {
    match certificates.and_then(<[_]>::first) {
        Some(certificate) => Subject::of(certificate),
        None => Err(Error::Peer("it shows no certificate".to_owned())),
    }
}

/// For joining: the authority is known by its fingerprint only.
pub(crate) fn joiner(ca_fingerprint: Hash) -> Result<Arc<ClientConfig>, Error> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(Pinned { ca_fingerprint, algorithms, provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![Purpose::Join.alpn().to_vec()];
    Ok(Arc::new(config))
}

/// Trusts exactly the authority with the fingerprint, which the server shows with its own
/// certificate; everything else is the ordinary verification.
#[derive(Debug)]
struct Pinned {
    ca_fingerprint: Hash,
    algorithms: WebPkiSupportedAlgorithms,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = intermediates.iter().find(|ca| Hash::of(ca) == self.ca_fingerprint);
        let unknown = || rustls::CertificateError::UnknownIssuer;
        let ca = pinned.ok_or_else(unknown)?.clone().into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(ca)?;
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let inner = inner.build().map_err(|_| unknown())?;
        inner.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
