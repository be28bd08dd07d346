//! The way to a server: straight, or by a proxy that the environment names, as Docker and Podman read it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use http::header::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::is_loopback;
use super::place::authority;
use crate::error::{Error, Result};
use crate::manifest::shown;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Which servers are reached by which proxy.
#[derive(Clone)]
pub(crate) struct Proxies {
    matcher: Arc<Matcher>,
    /// Hosts with a port that are reached without one, which the matcher does not know.
    without: Arc<[String]>,
}

impl Default for Proxies {
    /// There is no proxy.
    fn default() -> Self {
        Proxies {
            matcher: Arc::new(Matcher::builder().build()),
            without: [].into(),
        }
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The matcher shows no passwords.
        self.matcher.fmt(f)
    }
}

impl Proxies {
    /// # Errors
    /// A variable names no proxy.
    pub(crate) fn of_environment() -> Result<Self> {
        Self::of(|name| std::env::var(name).ok())
    }

    /// As variables say it: in capitals first, as programs in Go have it.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let find = |name: &str| {
            let names = [name.to_owned(), name.to_ascii_lowercase()];
            let found = names.iter().find_map(|name| {
                let value = variable(name)?;
                (!value.trim().is_empty()).then(|| (name.clone(), value.trim().to_owned()))
            });
            found.unwrap_or_default()
        };
        let proxy = |name: &str| {
            let (name, value) = find(name);
            match value.is_empty() || is_proxy(&value) {
                true => Ok(value),
                false => Err(no_proxy(&name)),
            }
        };
        let all = proxy("ALL_PROXY")?;
        let (http, https) = (proxy("HTTP_PROXY")?, proxy("HTTPS_PROXY")?);
        let (_, without) = find("NO_PROXY");
        let without: Vec<&str> = without.split(',').map(str::trim).collect();
        let names: Vec<&str> = without
            .iter()
            .map(|it| {
                it.strip_prefix('*')
                    .filter(|it| it.starts_with('.'))
                    .unwrap_or(it)
            })
            .collect();
        let builder = Matcher::builder()
            .all(all)
            .http(http)
            .https(https)
            .no(names.join(","));
        // The matcher takes `*` for all names, but for no address.
        let builder = match names.contains(&"*") {
            true => Matcher::builder(),
            false => builder,
        };
        let with_port = without.iter().filter(|it| it.contains(':'));
        Ok(Proxies {
            matcher: Arc::new(builder.build()),
            without: with_port.map(|it| it.to_ascii_lowercase()).collect(),
        })
    }

    /// The proxy that a server is reached by. This host's own servers are reached by none.
    pub(crate) fn find(&self, to: &Uri) -> Option<Intercept> {
        let place = authority(to).to_ascii_lowercase();
        match is_loopback(&place) || self.without.contains(&place) {
            true => None,
            false => self.matcher.intercept(to),
        }
    }

    /// What a proxy is told with a request that it passes on as it is; what goes by a tunnel was told before.
    pub(crate) fn header(&self, to: &Uri) -> Option<HeaderValue> {
        let is_plain = to.scheme_str() == Some("http");
        let proxy = is_plain.then(|| self.find(to)).flatten()?;
        proxy.basic_auth().cloned()
    }
}

/// Whether a value of a variable names a proxy that can be spoken to.
fn is_proxy(value: &str) -> bool {
    let matcher = Matcher::builder().all(value.to_owned()).build();
    let found = matcher.intercept(&Uri::from_static("https://registry.example/"));
    found.is_some_and(|it| matches!(it.uri().scheme_str(), Some("http" | "https")))
}

/// The value is not shown: it may have a password.
fn no_proxy(name: &str) -> Error {
    Error::wrong(format!("{name} names no proxy that nslab can use"))
        .help("write http://HOST:PORT or https://HOST:PORT, with NAME:PASSWORD@ before HOST if need be, or leave it unset")
}

/// Where a proxy is, without its password.
pub(crate) fn place_of(proxy: &Intercept) -> String {
    shown(authority(proxy.uri()))
}

/// Connects to servers, by proxies where there are some.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) proxies: Proxies,
    pub(crate) straight: HttpConnector,
    /// Connects to proxies, with TLS where they want it.
    pub(crate) to_proxy: HttpsConnector<HttpConnector>,
}

impl Service<Uri> for Way {
    type Response = Conversation;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Conversation, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Failure>> {
        // Those that connect are always ready, and each connection has its own.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (mut straight, mut to_proxy) = (self.straight.clone(), self.to_proxy.clone());
        let Some(proxy) = self.proxies.find(&to) else {
            return Box::pin(async move {
                let stream = straight.call(to).await?.into();
                Ok(Conversation {
                    stream,
                    passes_on: false,
                })
            });
        };
        Box::pin(async move {
            if to.scheme_str() == Some("http") {
                let stream = to_proxy.call(proxy.uri().clone()).await?;
                return Ok(Conversation {
                    stream,
                    passes_on: true,
                });
            }
            let mut tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
            if let Some(secret) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(secret.clone());
            }
            let stream = tunnel.call(to).await?;
            Ok(Conversation {
                stream,
                passes_on: false,
            })
        })
    }
}

/// A connection to a server, or to a proxy that passes requests on.
pub(crate) struct Conversation {
    stream: Stream,
    passes_on: bool,
}

impl Connection for Conversation {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.passes_on)
    }
}

impl Read for Conversation {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl Write for Conversation {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(variables: &[(&str, &str)], to: &str) -> Option<String> {
        let find = |name: &str| {
            let found = variables.iter().find(|it| it.0 == name);
            found.map(|it| it.1.to_owned())
        };
        let proxy = Proxies::of(find).unwrap().find(&to.parse().unwrap());
        proxy.map(|it| it.uri().to_string())
    }

    #[test]
    fn variables_say_which_proxy_is_taken() {
        let both = [("HTTPS_PROXY", "http://a:1"), ("http_proxy", "b:2")];
        assert_eq!(by(&both, "https://q.io/"), Some("http://a:1/".to_owned()));
        assert_eq!(by(&both, "http://q.io/"), Some("http://b:2/".to_owned()));
        assert_eq!(by(&[("HTTPS_PROXY", "a:1")], "http://q.io/"), None);
        let all = [("ALL_PROXY", "http://a:1"), ("HTTPS_PROXY", " ")];
        assert_eq!(by(&all, "https://q.io/"), Some("http://a:1/".to_owned()));
        let cases = [("https_proxy", "a:1"), ("HTTPS_PROXY", "b:1")];
        assert_eq!(by(&cases, "https://q.io/"), Some("http://b:1/".to_owned()));
    }

    #[test]
    fn some_servers_are_reached_without_one() {
        let without = "q.io, 10.0.0.0/8,fd00::/8 ,*.lab.example, reg.example:5000";
        let set = [("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", without)];
        for straight in [
            "q.io",
            "x.q.io:5000",
            "10.1.2.3:5000",
            "[fd00::1]:5000",
            "a.lab.example",
            "reg.example:5000",
            "Reg.example:5000",
            "127.0.0.1:5000",
            "localhost",
            "[::1]:5000",
        ] {
            assert_eq!(by(&set, &format!("https://{straight}/")), None, "{straight}");
        }
        for other in [
            "nq.io",
            "11.0.0.1",
            "reg.example",
            "reg.example:5001",
            "[fc00::1]",
        ] {
            assert!(by(&set, &format!("https://{other}/")).is_some(), "{other}");
        }
        for to in ["https://q.io/", "https://10.0.0.1:5000/", "http://[fd00::1]/"] {
            assert_eq!(
                by(&[("ALL_PROXY", "a:1"), ("no_proxy", "x.io, *")], to),
                None,
                "{to}"
            );
        }
    }

    #[test]
    fn what_is_no_proxy_is_told_without_its_password() {
        for wrong in [
            "socks5://name:secret@a:1",
            "ftp://name:secret@a",
            "http://",
            "name:secret@a b",
            "/secret",
        ] {
            let error = Proxies::of(|name| (name == "https_proxy").then(|| wrong.to_owned())).unwrap_err();
            assert!(error.message.contains("https_proxy"), "{error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        let with = |name: &str| (name == "HTTP_PROXY").then(|| "http://name:secret@a:1".to_owned());
        let proxies = Proxies::of(with).unwrap();
        assert!(!format!("{proxies:?}").contains("secret"));
        assert!(proxies.header(&"http://q.io/".parse().unwrap()).is_some());
        // A server that is spoken to by a tunnel never sees it.
        assert!(proxies.header(&"https://q.io/".parse().unwrap()).is_none());
    }
}
