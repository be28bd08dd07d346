//! One request, one answer: HTTP/1.1 with or without TLS, and how long everything may take.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};
use crate::manifest::shown;

/// How long things may take, and how often they are tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// To reach a server.
    pub(crate) connect: Duration,
    /// Until the next bytes of an answer.
    pub(crate) stall: Duration,
    /// In this time ...
    pub(crate) window: Duration,
    /// ... at least so many bytes arrive.
    pub(crate) least: u64,
    /// For a whole document that is not a layer.
    pub(crate) document: Duration,
    /// How often something is tried.
    pub(crate) attempts: u32,
    /// The pause before the second attempt; it doubles with each.
    pub(crate) pause: Duration,
    /// A server that asks for a longer pause is not waited for.
    pub(crate) longest_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            window: Duration::from_secs(60),
            least: 64 << 10,
            document: Duration::from_secs(60),
            attempts: 5,
            pause: Duration::from_millis(300),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It may go better the next time, possibly after a pause that the server asks for.
    Passing(Error, Option<Duration>),
    /// It will not.
    Lasting(Error),
    /// What is there already is not a beginning of it (416).
    NoBeginning(Error),
}

impl Trouble {
    pub(crate) fn error(self) -> Error {
        match self {
            Trouble::Passing(error, _) | Trouble::Lasting(error) | Trouble::NoBeginning(error) => error,
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Lasting(error)
    }
}

/// A client of HTTP.
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    pub(crate) timing: Timing,
}

impl Http {
    /// # Errors
    /// A file with certificates cannot be read.
    pub(crate) fn new(ca: Option<&Path>, timing: Timing) -> Result<Self> {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(timing.connect));
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(ca)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector);
        Ok(Http { client, timing })
    }

    /// Sends a request, and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> std::result::Result<Response<Incoming>, Trouble> {
        let host = super::place::authority(request.uri()).to_owned();
        let patience = self.timing.connect + self.timing.stall;
        match tokio::time::timeout(patience, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(trouble(&host, &error)),
            Err(_) => {
                let error = Error::host(format!("{host} does not answer"));
                Err(Trouble::Passing(error, None))
            }
        }
    }

    /// The whole of a short answer.
    pub(crate) async fn whole(
        &self,
        host: &str,
        body: Incoming,
        most: u64,
    ) -> std::result::Result<Vec<u8>, Trouble> {
        let read = async {
            let mut body = body;
            let mut content = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| {
                    Trouble::Passing(Error::host(format!("{host} breaks off: {}", chain(&error))), None)
                })?;
                if let Ok(data) = frame.into_data() {
                    content.extend_from_slice(&data);
                }
                if content.len() as u64 > most {
                    let message = format!("{host} answers with more than {most} bytes");
                    return Err(Trouble::Lasting(Error::host(message)));
                }
            }
            Ok(content)
        };
        tokio::time::timeout(self.timing.document, read)
            .await
            .unwrap_or_else(|_| {
                let error = Error::host(format!("{host} is too slow"));
                Err(Trouble::Passing(error, None))
            })
    }

    /// Whether a server speaks TLS. One that does it wrongly, or cannot be reached, counts as one that does: the next request
    /// says what is wrong.
    pub(crate) async fn speaks_tls(&self, host: &str) -> bool {
        let Ok(uri) = format!("https://{host}/v2/").parse::<Uri>() else {
            return true;
        };
        let Ok(request) = Request::get(uri).body(Full::default()) else {
            return true;
        };
        let patience = self.timing.connect + self.timing.stall;
        match tokio::time::timeout(patience, self.client.request(request)).await {
            Ok(Err(error)) => !is_not_tls(&error),
            _ => true,
        }
    }
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // A host without certificates of its own reaches those of `ca`, and those without TLS.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let wrong =
            |why: String| Error::wrong(format!("{} has no certificates in PEM: {why}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        let mut count = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("there is none".to_owned()));
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::host(format!("cannot prepare TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn trouble(host: &str, error: &hyper_util::client::legacy::Error) -> Trouble {
    let what = if error.is_connect() {
        "cannot be reached"
    } else {
        "breaks off"
    };
    let failure = Error::host(format!("{host} {what}: {}", chain(error)));
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            Trouble::Lasting(failure.help(
                "give the certificate of who signed it as `ca` in the lab file's [images], or with --ca",
            ))
        }
        Some(rustls::Error::InvalidMessage(_)) => Trouble::Lasting(failure.help(
            "it does not speak TLS: name it under `insecure` in the lab file's [images], or with --insecure",
        )),
        _ => Trouble::Passing(failure, None),
    }
}

/// Whether a connection failed because the server speaks no TLS: it answered something else, or hung up on the greeting.
fn is_not_tls(error: &hyper_util::client::legacy::Error) -> bool {
    if matches!(tls_error(error), Some(rustls::Error::InvalidMessage(_))) {
        return true;
    }
    use std::io::ErrorKind::{ConnectionReset, UnexpectedEof};
    causes(error).into_iter().any(|it| {
        let kind = it.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(ConnectionReset | UnexpectedEof))
    })
}

fn tls_error(error: &hyper_util::client::legacy::Error) -> Option<&rustls::Error> {
    causes(error).into_iter().find_map(|it| it.downcast_ref())
}

/// An error and all that led to it. What is carried in an error of the system is not its source.
fn causes<'a>(error: &'a (dyn std::error::Error + 'static)) -> Vec<&'a (dyn std::error::Error + 'static)> {
    const MOST: usize = 20;
    let mut all = Vec::new();
    let mut next = Some(error);
    while let Some(one) = next.filter(|_| all.len() < MOST) {
        all.push(one);
        let carried = one
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match carried {
            Some(carried) => Some(carried),
            None => one.source(),
        };
    }
    all
}

/// The last of what led to an error, which is the one that tells.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let last = causes(error).last().map_or_else(String::new, ToString::to_string);
    shown(&last)
}
