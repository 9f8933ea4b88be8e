//! The cluster's certificate authority, and the certificates that say who someone is.
//!
//! A certificate names its owner by the DNS name `ID.KIND.firebreak`, so that the ordinary
//! verification of a server's name checks a member's minted id. Certificates do not expire; who
//! counts is decided by the roster, which every member keeps.

use crate::{Error, Kind};
use base::{MemberId, MemberName};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The name every member's certificate also carries, for those who know no id yet: joiners.
pub(crate) const JOIN_NAME: &str = "join.firebreak";

/// The authority: its certificate and its key.
pub struct Authority {
    ca_pem: String,
    key: KeyPair,
}

/// A certificate with its authority's, and its key, all as PEM text.
#[derive(Clone)]
pub struct Credentials {
    /// The authority's certificate.
    pub ca_pem: String,
    /// The owner's certificate.
    pub certificate_pem: String,
    /// The owner's private key.
    pub key_pem: String,
}

/// Who a certificate says someone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The minted id.
    pub id: MemberId,
    /// What they are.
    pub kind: Kind,
}

impl Subject {
    /// The DNS name that stands in the certificate.
    #[must_use]
    pub fn dns_name(&self) -> String {
        format!("{}.{}.firebreak", self.id, self.kind)
    }

    fn from_dns_name(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let (id, kind, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let fits = rest == "firebreak" && id.len() == 32;
        let id = fits.then(|| id.parse().ok()).flatten()?;
        Some(Self { id, kind: Kind::from_name(kind)? })
    }

    /// Reads it from a certificate that was verified already.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let nobody = || Error::Peer("its certificate names no member of a cluster".to_owned());
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| nobody())?;
        let names = parsed.subject_alternative_name().ok().flatten().ok_or_else(nobody)?;
        let subject = names.value.general_names.iter().find_map(|name| match name {
            x509_parser::extensions::GeneralName::DNSName(text) => Self::from_dns_name(text),
            _ => None,
        });
        subject.ok_or_else(nobody)
    }
}

fn failed(error: rcgen::Error) -> Error {
    Error::Certificate(error.to_string())
}

impl Authority {
    /// Makes a new authority for a cluster.
    pub fn create(cluster: MemberId) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, format!("firebreak cluster {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let ca_pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { ca_pem, key })
    }

    /// Reads an authority back.
    pub fn from_pem(ca_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key_pem).map_err(failed)?;
        Ok(Self { ca_pem: ca_pem.to_owned(), key })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The authority's private key: it makes members, and is kept where `init` ran.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Makes a key and a certificate at once.
    pub fn issue(&self, subject: Subject, name: &MemberName) -> Result<Credentials, Error> {
        let key = KeyPair::generate().map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&self.ca_pem, &self.key).map_err(failed)?;
        let certificate = params(subject, name)?.signed_by(&key, &issuer).map_err(failed)?;
        Ok(Credentials {
            ca_pem: self.ca_pem.clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// Signs a joiner's key. Of the request only the key counts: the names are ours.
    pub fn sign(
        &self,
        request_der: &[u8],
        subject: Subject,
        name: &MemberName,
    ) -> Result<String, Error> {
        let request = CertificateSigningRequestParams::from_der(&request_der.into());
        let mut request = request.map_err(failed)?;
        request.params = params(subject, name)?;
        let issuer = Issuer::from_ca_cert_pem(&self.ca_pem, &self.key).map_err(failed)?;
        Ok(request.signed_by(&issuer).map_err(failed)?.pem())
    }
}

/// A fresh key and the request to sign it.
pub(crate) fn request() -> Result<(String, Vec<u8>), Error> {
    let key = KeyPair::generate().map_err(failed)?;
    let params = CertificateParams::new(vec![JOIN_NAME.to_owned()]).map_err(failed)?;
    let request = params.serialize_request(&key).map_err(failed)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

fn params(subject: Subject, name: &MemberName) -> Result<CertificateParams, Error> {
    let mut names = vec![subject.dns_name()];
    if subject.kind.votes() {
        names.push(JOIN_NAME.to_owned());
    }
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name.as_str());
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn pem_failed(error: rustls_pki_types::pem::Error) -> Error {
    Error::Certificate(error.to_string())
}

impl Credentials {
    /// The authority's certificate.
    pub fn ca(&self) -> Result<CertificateDer<'static>, Error> {
        CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).map_err(pem_failed)
    }

    /// What is shown to peers: the certificate and its authority's.
    pub fn chain(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let own = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes());
        Ok(vec![own.map_err(pem_failed)?, self.ca()?])
    }

    /// The private key.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(pem_failed)
    }

    /// Who these credentials are of.
    pub fn subject(&self) -> Result<Subject, Error> {
        let chain = self.chain()?;
        Subject::of(&chain[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_tells_whose_it_is() {
        let authority = Authority::create(MemberId::new(7)).expect("makes");
        let subject = Subject { id: MemberId::new(0xabc), kind: Kind::Region };
        let name: MemberName = "east".parse().expect("a name");
        let credentials = authority.issue(subject, &name).expect("issues");
        assert_eq!(credentials.subject().expect("reads"), subject);

        let (_, request) = request().expect("makes");
        let again = Authority::from_pem(authority.ca_pem(), &authority.key_pem()).expect("reads");
        let gateway = Subject { id: MemberId::new(9), kind: Kind::Gateway };
        let pem = again.sign(&request, gateway, &name).expect("signs");
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("reads");
        assert_eq!(Subject::of(&der).expect("reads"), gateway);
    }
}
