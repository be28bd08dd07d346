//! One request, one answer: HTTP/1.1 with or without TLS, and how long everything may take.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::place::authority;
use super::proxy::{Proxies, Way, place_of};
use super::tls::Trust;
use crate::error::{Error, Kind, Result};
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

type Connections = Client<HttpsConnector<Way>, Full<Bytes>>;

/// A client of HTTP. Each server has connections of its own, for certificates may be meant for it alone.
pub(crate) struct Http {
    clients: RefCell<HashMap<String, Connections>>,
    trust: Trust,
    way: Way,
    pub(crate) timing: Timing,
}

impl Http {
    /// # Errors
    /// A file with certificates cannot be read.
    pub(crate) fn new(trust: Trust, proxies: Proxies, timing: Timing) -> Result<Self> {
        let mut straight = HttpConnector::new();
        straight.enforce_http(false);
        straight.set_connect_timeout(Some(timing.connect));
        straight.set_nodelay(true);
        let to_proxy = HttpsConnectorBuilder::new()
            .with_tls_config(trust.usual()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(straight.clone());
        Ok(Http {
            clients: RefCell::default(),
            trust,
            way: Way {
                proxies,
                straight,
                to_proxy,
            },
            timing,
        })
    }

    /// The connections to a server.
    fn client(&self, server: &str) -> Result<Connections> {
        if let Some(known) = self.clients.borrow().get(server) {
            return Ok(known.clone());
        }
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.trust.of(server)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(self.way.clone());
        let client: Connections = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector);
        self.clients
            .borrow_mut()
            .insert(server.to_owned(), client.clone());
        Ok(client)
    }

    /// Sends a request, and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> std::result::Result<Response<Incoming>, Trouble> {
        let uri = request.uri().clone();
        let host = authority(&uri).to_owned();
        let proxy = self.way.proxies.find(&uri).as_ref().map(place_of);
        if let Some(secret) = self.way.proxies.header(&uri) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, secret);
        }
        let patience = self.timing.connect + self.timing.stall;
        let client = self.client(&host)?;
        match tokio::time::timeout(patience, client.request(request)).await {
            Ok(Ok(answer)) if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(Trouble::Lasting(wants_password(&host, proxy.as_deref())))
            }
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(trouble(&host, proxy.as_deref(), &error)),
            Err(_) => {
                let error = Error::host(format!("{} does not answer", by(&host, proxy.as_deref())));
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
        let Ok(client) = self.client(host) else {
            return true;
        };
        match tokio::time::timeout(patience, client.request(request)).await {
            Ok(Err(error)) => !is_not_tls(&error),
            _ => true,
        }
    }
}

/// A server, and the proxy that it is reached by.
fn by(host: &str, proxy: Option<&str>) -> String {
    match proxy {
        Some(proxy) => format!("{host} by the proxy {proxy}"),
        None => host.to_owned(),
    }
}

fn wants_password(host: &str, proxy: Option<&str>) -> Error {
    let proxy = proxy.unwrap_or("a proxy");
    Error::new(Kind::Denied, format!("{host} cannot be reached: the proxy {proxy} wants a password")).help(
        "write http://NAME:PASSWORD@HOST:PORT into HTTPS_PROXY or HTTP_PROXY; NO_PROXY names what is reached without it",
    )
}

fn trouble(host: &str, proxy: Option<&str>, error: &hyper_util::client::legacy::Error) -> Trouble {
    let what = if error.is_connect() {
        "cannot be reached"
    } else {
        "breaks off"
    };
    let why = chain(error);
    // The library has no name for its tunnel's errors.
    if proxy.is_some() && why.ends_with("proxy authorization required") {
        return Trouble::Lasting(wants_password(host, proxy));
    }
    let failure = Error::host(format!("{} {what}: {why}", by(host, proxy)));
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_)) => Trouble::Lasting(failure.help(format!(
            "give the certificate of who signed it as `ca` in the lab file's [images], with --ca, or as a .crt file in \
             /etc/containers/certs.d/{host}"
        ))),
        Some(rustls::Error::InvalidMessage(_)) => Trouble::Lasting(failure.help(
            "it does not speak TLS: name it under `insecure` in the lab file's [images], or with --insecure",
        )),
        Some(rustls::Error::AlertReceived(_)) => Trouble::Lasting(failure.help(format!(
            "it may want a certificate of yours: `cert` and `key` in [images.registry.\"{host}\"], --client, or .cert and .key files \
             in /etc/containers/certs.d/{host}"
        ))),
        _ if proxy.is_some() => Trouble::Passing(
            failure.help("HTTPS_PROXY or HTTP_PROXY names the proxy; NO_PROXY names what is reached without it"),
            None,
        ),
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
