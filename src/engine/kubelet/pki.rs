//! A cluster's certificates, made when the lab is: an authority, and for each program what kubeadm would give it
//! (https://kubernetes.io/docs/setup/best-practices/certificates/ names them).

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::failure::Failure;

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key (PKCS #8).
    pub key: String,
}

/// A key pair that signs service accounts' tokens, as PEM.
#[derive(Debug, Clone)]
pub struct TokenKey {
    /// For who signs.
    pub private: String,
    /// For who verifies.
    pub public: String,
}

/// The cluster's authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate and key.
    pub identity: Identity,
}

/// Whom a certificate is for.
#[derive(Debug, Clone, Default)]
pub struct Subject<'a> {
    /// The user, or the server's name.
    pub name: &'a str,
    /// The user's group.
    pub group: Option<&'a str>,
    /// Names by which it is reached as a server.
    pub names: Vec<String>,
    /// The same, addresses.
    pub addresses: Vec<IpAddr>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new() -> Result<Authority, Failure> {
        let make = || -> Result<Authority, rcgen::Error> {
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name.push(DnType::CommonName, "nslab");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::CrlSign,
            ];
            let key = KeyPair::generate()?;
            let identity = Identity {
                certificate: params.self_signed(&key)?.pem(),
                key: key.serialize_pem(),
            };
            Ok(Authority {
                issuer: Issuer::new(params, key),
                identity,
            })
        };
        make().map_err(unmade)
    }

    /// A certificate for a program, as a client and, if it has names or addresses, as a server.
    ///
    /// # Errors
    /// There is no randomness, or a name is none.
    pub fn issue(&self, subject: &Subject) -> Result<Identity, Failure> {
        let make = || -> Result<Identity, rcgen::Error> {
            let mut params = CertificateParams::new(subject.names.clone())?;
            params.distinguished_name.push(DnType::CommonName, subject.name);
            if let Some(group) = subject.group {
                params.distinguished_name.push(DnType::OrganizationName, group);
            }
            let addresses = subject.addresses.iter().copied().map(SanType::IpAddress);
            params.subject_alt_names.extend(addresses);
            params.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyEncipherment,
            ];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            if !params.subject_alt_names.is_empty() {
                params
                    .extended_key_usages
                    .push(ExtendedKeyUsagePurpose::ServerAuth);
            }
            let key = KeyPair::generate()?;
            Ok(Identity {
                certificate: params.signed_by(&key, &self.issuer)?.pem(),
                key: key.serialize_pem(),
            })
        };
        make().map_err(unmade)
    }
}

impl TokenKey {
    /// A new one.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn new() -> Result<TokenKey, Failure> {
        let key = KeyPair::generate().map_err(unmade)?;
        Ok(TokenKey {
            private: key.serialize_pem(),
            public: key.public_key_pem(),
        })
    }
}

fn unmade(error: rcgen::Error) -> Failure {
    Failure::host(format!("cannot make the cluster's certificates: {error}"))
}
