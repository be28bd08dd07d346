//! Registries: the distribution API v2 (OCI distribution specification), the part that pulls.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::reference::Reference;

mod blob;
pub(crate) mod challenge;
pub(crate) mod credentials;
mod exchange;
mod http_client;
mod place;
mod proxy;
mod tls;

pub(crate) use blob::{Blob, Sink};
pub(crate) use exchange::Session;
pub(crate) use http_client::Timing;
pub(crate) use proxy::Proxies;

pub use crate::source::Registries;

/// How servers are reached, apart from what a lab says.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) timing: Timing,
    pub(crate) credentials: credentials::Files,
    /// None: those of the environment, which is read when something is asked.
    pub(crate) proxies: Option<Proxies>,
    /// Where registries' certificates are.
    pub(crate) certificates: Vec<PathBuf>,
}

impl Network {
    /// What the environment leads to.
    pub(crate) fn of_environment() -> Self {
        Network {
            timing: Timing::default(),
            credentials: credentials::Files::of_environment(),
            proxies: None,
            certificates: tls::usual_directories(),
        }
    }
}

/// Where a repository of a registry can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `https`, `http`, or none where it is to be found out.
    scheme: Option<&'static str>,
    /// Host and port.
    pub(crate) host: String,
    /// The repository there.
    pub(crate) repository: String,
}

impl Registries {
    /// Where an image can be had: mirrors first, the registry itself last.
    ///
    /// # Errors
    /// A mirror's name is none.
    pub(crate) fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>> {
        let own = Endpoint {
            scheme: self.scheme(&reference.registry),
            host: match reference.registry.as_str() {
                "docker.io" => "registry-1.docker.io".to_owned(),
                other => other.to_owned(),
            },
            repository: reference.repository.clone(),
        };
        let mirrors = self.mirrors.get(&reference.registry).into_iter().flatten();
        let mut all: Vec<Endpoint> = mirrors
            .map(|it| self.mirror(it, &reference.repository))
            .collect::<Result<_>>()?;
        all.push(own);
        Ok(all)
    }

    fn mirror(&self, text: &str, repository: &str) -> Result<Endpoint> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some("http"), rest),
            Some(("https", rest)) => (Some("https"), rest),
            Some(_) => return Err(mirror_is_none(text)),
            None => (None, text),
        };
        let rest = rest.trim_end_matches('/');
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_start_matches("v2/");
        let repository = match prefix {
            "" | "v2" => repository.to_owned(),
            prefix => format!("{prefix}/{repository}"),
        };
        // The same rules as for a name that is written whole. A host without a dot is one here.
        let probe = if host.contains(['.', ':']) {
            host.to_owned()
        } else {
            format!("{host}:1")
        };
        format!("{probe}/{repository}")
            .parse::<Reference>()
            .map_err(|_| mirror_is_none(text))?;
        Ok(Endpoint {
            scheme: scheme.or_else(|| self.scheme(host)),
            host: host.to_owned(),
            repository,
        })
    }

    /// How a registry is spoken to; none where both ways are allowed.
    fn scheme(&self, host: &str) -> Option<&'static str> {
        match self.insecure.iter().any(|it| it == host) || is_loopback(host) {
            true => None,
            false => Some("https"),
        }
    }
}

fn mirror_is_none(text: &str) -> Error {
    let shown = crate::manifest::shown(text);
    Error::new(Kind::Wrong, format!("`{shown}` is not the place of a registry"))
        .help("write HOST, HOST:PORT or HOST:PORT/PATH, with http:// before it where it has no TLS")
}

/// Whether a host, possibly with a port, is this one. As with Docker, those need no TLS.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}
