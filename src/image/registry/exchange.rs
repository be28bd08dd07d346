//! Asks a registry: shows it what it wants to see, follows where it leads, tries again where that may help.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE, RETRY_AFTER, USER_AGENT,
    WWW_AUTHENTICATE,
};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::credentials::{Files, Secret};
use super::http_client::{Http, Trouble};
use super::place::{authority, encoded, is_same_server, may_have_secrets, redirected};
use super::proxy::Proxies;
use super::tls::Trust;
use super::{Endpoint, Network, Registries};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::manifest::{ACCEPTED, LONGEST, shown};
use crate::reference::Reference;

/// So many redirects are followed.
const MOST_REDIRECTS: u32 = 5;
/// An answer with a token, or with an error's text, may not be longer.
const LONGEST_ANSWER: u64 = 1 << 20;
/// A request for a token may not be longer.
const NAME: &str = concat!("nslab/", env!("CARGO_PKG_VERSION"));

/// What is asked in one pull: connections, tokens and what was found out are kept in it.
pub(crate) struct Session<'a> {
    pub(super) http: Http,
    registries: &'a Registries,
    credentials: Files,
    /// What a repository's registry was shown, and took.
    shown: RefCell<HashMap<(String, String), HeaderValue>>,
    schemes: RefCell<HashMap<String, &'static str>>,
}

/// A manifest as a registry gave it.
pub(crate) struct Found {
    pub(crate) content: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) endpoint: Endpoint,
}

impl<'a> Session<'a> {
    /// # Errors
    /// A file with certificates cannot be read, or a variable names no proxy.
    pub(crate) fn new(registries: &'a Registries, network: &Network) -> Result<Self> {
        let trust = Trust::new(registries, network.certificates.clone())?;
        let proxies = match &network.proxies {
            Some(proxies) => proxies.clone(),
            None => Proxies::of_environment()?,
        };
        Ok(Session {
            http: Http::new(trust, proxies, network.timing)?,
            registries,
            credentials: network.credentials.clone(),
            shown: RefCell::default(),
            schemes: RefCell::default(),
        })
    }

    /// What a name leads to, from the first place that has it.
    pub(crate) async fn manifest(&self, reference: &Reference) -> Result<Found> {
        let mut others = Vec::new();
        let endpoints = self.registries.endpoints(reference)?;
        let last = endpoints.len() - 1;
        for (at, endpoint) in endpoints.into_iter().enumerate() {
            match self
                .manifest_at(&endpoint, reference.asked(), reference.digest.as_ref())
                .await
            {
                Ok(found) => return Ok(found),
                Err(error) if at == last => {
                    let error = error.of(reference);
                    return Err(others.iter().fold(error, |error: Error, other: &String| Error {
                        message: format!("{} (and {other})", error.message),
                        ..error
                    }));
                }
                Err(error) => others.push(error.message),
            }
        }
        Err(Error::wrong("no registry is named"))
    }

    /// What a registry has under a tag or digest.
    pub(crate) async fn manifest_at(
        &self,
        endpoint: &Endpoint,
        asked: &str,
        digest: Option<&Digest>,
    ) -> Result<Found> {
        let path = format!("manifests/{asked}");
        let host = &endpoint.host;
        self.patiently(async || {
            let answer = self.get(endpoint, &path, &ACCEPTED, None).await?;
            let content = self.http.whole(host, answer.into_body(), LONGEST).await?;
            let own = Digest::of(&content);
            match digest.is_none_or(|it| *it == own) {
                true => Ok(Found {
                    content,
                    digest: own,
                    endpoint: endpoint.clone(),
                }),
                false => Err(Trouble::Lasting(Error::host(format!(
                    "{host} gives something with the digest {own} for {asked}"
                )))),
            }
        })
        .await
    }

    /// Where else an image can be had.
    pub(crate) fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>> {
        self.registries.endpoints(reference)
    }

    /// Does something until it is done, or will not be.
    pub(crate) async fn patiently<T>(
        &self,
        mut attempt: impl AsyncFnMut() -> std::result::Result<T, Trouble>,
    ) -> Result<T> {
        let mut failures = 0;
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(Trouble::Lasting(error) | Trouble::NoBeginning(error)) => return Err(error),
                Err(Trouble::Passing(error, asked)) => {
                    failures += 1;
                    self.pause(error, asked, failures).await?;
                }
            }
        }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// There is none: there were enough, or the server asks for more patience than nslab has.
    pub(super) async fn pause(&self, error: Error, asked: Option<Duration>, failures: u32) -> Result<()> {
        let timing = &self.http.timing;
        if let Some(asked) = asked.filter(|it| *it > timing.longest_pause) {
            return Err(error.help(format!(
                "it asks to be left alone for {} s: try again then",
                asked.as_secs()
            )));
        }
        if failures >= timing.attempts {
            return Err(error);
        }
        let usual = (timing.pause * 2u32.saturating_pow(failures - 1)).min(timing.longest_pause);
        tokio::time::sleep(asked.unwrap_or(usual).max(usual)).await;
        Ok(())
    }

    /// Asks once for something of a repository, from a byte on.
    pub(super) async fn get(
        &self,
        endpoint: &Endpoint,
        path: &str,
        accept: &[&str],
        from: Option<u64>,
    ) -> std::result::Result<Response<Incoming>, Trouble> {
        let scheme = self.scheme(endpoint).await;
        let text = format!("{scheme}://{}/v2/{}/{path}", endpoint.host, endpoint.repository);
        let first: Uri = text
            .parse()
            .map_err(|_| Error::wrong(format!("`{}` is no address", shown(&text))))?;
        let key = (endpoint.host.clone(), endpoint.repository.clone());
        let (mut uri, mut redirects, mut was_asked) = (first.clone(), 0, false);
        loop {
            let mut request = Request::get(uri.clone()).header(USER_AGENT, NAME);
            if !accept.is_empty() {
                // In one line: there are proxies that pass only one of several on.
                request = request.header(ACCEPT, accept.join(", "));
            }
            if let Some(from) = from {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            // What was shown to the registry is nobody else's business.
            let is_home = is_same_server(&first, &uri);
            let secret = self.shown.borrow().get(&key).cloned();
            if let Some(secret) = secret.filter(|_| is_home) {
                request = request.header(AUTHORIZATION, secret);
            }
            let request = request
                .body(Full::default())
                .map_err(|error| Error::wrong(error.to_string()))?;
            let answer = self.http.send(request).await?;
            let status = answer.status();
            if status.is_success() {
                return Ok(answer);
            }
            if status.is_redirection()
                && let Some(location) = text_of(answer.headers(), &LOCATION)
            {
                redirects += 1;
                if redirects > MOST_REDIRECTS {
                    let message = format!("{} redirects in a circle", endpoint.host);
                    return Err(Trouble::Lasting(Error::host(message)));
                }
                uri = redirected(&uri, location)?;
                continue;
            }
            if status == StatusCode::UNAUTHORIZED && is_home && !was_asked {
                was_asked = true;
                let asked = text_of_all(answer.headers());
                if let Some(secret) = self.answer(endpoint, scheme == "https", &asked).await? {
                    self.shown.borrow_mut().insert(key.clone(), secret);
                    continue;
                }
            }
            return Err(self.refusal(authority(&uri), answer).await);
        }
    }

    /// How a registry is spoken to. It is found out once where both ways are allowed.
    async fn scheme(&self, endpoint: &Endpoint) -> &'static str {
        if let Some(scheme) = endpoint.scheme {
            return scheme;
        }
        let known = self.schemes.borrow().get(&endpoint.host).copied();
        if let Some(scheme) = known {
            return scheme;
        }
        let scheme = match self.http.speaks_tls(&endpoint.host).await {
            true => "https",
            false => "http",
        };
        self.schemes.borrow_mut().insert(endpoint.host.clone(), scheme);
        scheme
    }

    /// What the registry is shown when it asks; none where there is nothing to show.
    async fn answer(
        &self,
        endpoint: &Endpoint,
        has_tls: bool,
        asked: &str,
    ) -> std::result::Result<Option<HeaderValue>, Trouble> {
        let secret = self.credentials.find(&endpoint.host, &endpoint.repository)?;
        match (challenge::read(asked), secret) {
            (Some(Challenge::Basic), Some(Secret::Password(name, password))) => {
                Ok(Some(basic(&name, &password)?))
            }
            (
                Some(Challenge::Bearer {
                    realm,
                    service,
                    scope,
                }),
                secret,
            ) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", endpoint.repository));
                let realm_uri: Uri = realm.parse().map_err(|_| bad_realm(endpoint, &realm))?;
                if !matches!(realm_uri.scheme_str(), Some("http" | "https")) || realm_uri.host().is_none() {
                    return Err(Trouble::Lasting(bad_realm(endpoint, &realm)));
                }
                if secret.is_some() && !may_have_secrets(&realm_uri, &endpoint.host, has_tls) {
                    let message = format!(
                        "{} wants the password to be sent to {} without TLS",
                        endpoint.host,
                        shown(&realm)
                    );
                    return Err(Trouble::Lasting(Error::new(Kind::Denied, message)));
                }
                let token = self.token(&realm, service.as_deref(), &scope, secret).await?;
                Ok(Some(sensitive(&format!("Bearer {token}"))?))
            }
            _ => Ok(None),
        }
    }

    /// Gets a token (distribution specification, "Token Authentication" and "OAuth2").
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        secret: Option<Secret>,
    ) -> std::result::Result<String, Trouble> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            token: String,
            #[serde(default)]
            access_token: String,
        }
        let mut query = format!("scope={}", encoded(scope));
        if let Some(service) = service {
            query += &format!("&service={}", encoded(service));
        }
        let request = match secret {
            Some(Secret::IdentityToken(token)) => {
                query += &format!(
                    "&grant_type=refresh_token&client_id=nslab&refresh_token={}",
                    encoded(&token)
                );
                Request::post(realm)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(Full::new(Bytes::from(query)))
            }
            secret => {
                let separator = if realm.contains('?') { '&' } else { '?' };
                let mut request = Request::get(format!("{realm}{separator}{query}"));
                if let Some(Secret::Password(name, password)) = secret {
                    request = request.header(AUTHORIZATION, basic(&name, &password)?);
                }
                request.body(Full::default())
            }
        };
        let mut request =
            request.map_err(|error| Error::wrong(format!("the place of tokens is none: {error}")))?;
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(NAME));
        let host = authority(request.uri()).to_owned();
        let answer = self.http.send(request).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(&host, answer).await);
        }
        let text = self.http.whole(&host, answer.into_body(), LONGEST_ANSWER).await?;
        let answer: Answer = serde_json::from_slice(&text)
            .map_err(|_| Error::host(format!("{host} answers something that has no token in it")))?;
        match [answer.token, answer.access_token]
            .into_iter()
            .find(|it| !it.is_empty())
        {
            Some(token) => Ok(token),
            None => Err(Trouble::Lasting(Error::host(format!("{host} gives no token")))),
        }
    }

    /// What a refusal means.
    async fn refusal(&self, host: &str, answer: Response<Incoming>) -> Trouble {
        let status = answer.status();
        let pause =
            text_of(answer.headers(), &RETRY_AFTER).and_then(|it| pause(it.trim(), SystemTime::now()));
        let said = match self.http.whole(host, answer.into_body(), LONGEST_ANSWER).await {
            Ok(text) => reason(&text),
            Err(_) => String::new(),
        };
        let message = format!("{host} answers {}{said}", status.as_u16());
        let denied = || {
            Error::new(Kind::Denied, &*message).help(format!(
                "the image may not exist, or not be for everybody: `docker login {host}` (or skopeo login) keeps a password, which \
                 nslab finds in ~/.docker/config.json or by REGISTRY_AUTH_FILE"
            ))
        };
        match status.as_u16() {
            401 | 403 => Trouble::Lasting(denied()),
            404 => Trouble::Lasting(
                Error::new(Kind::Missing, message).help("look whether name and tag are right"),
            ),
            429 => Trouble::Passing(
                Error::host(message).help("it limits how much one may pull: wait, or log in"),
                pause,
            ),
            408 | 500.. => Trouble::Passing(Error::host(message), pause),
            416 => Trouble::NoBeginning(Error::host(message)),
            _ => Trouble::Lasting(Error::host(message)),
        }
    }
}

/// How long a server asks to be left alone: so many seconds, or until a time (RFC 9110, 10.2.3).
fn pause(text: &str, now: SystemTime) -> Option<Duration> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| {
        let until = httpdate::parse_http_date(text).ok()?;
        Some(until.duration_since(now).unwrap_or_default())
    })
}

/// The text of a registry's error (distribution specification, "Error Codes").
fn reason(text: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let answer = serde_json::from_slice::<Answer>(text);
    let first = answer.ok().and_then(|it| it.errors.into_iter().next());
    first.map_or_else(String::new, |it| {
        format!(" ({}: {})", shown(&it.code), shown(&it.message))
    })
}

fn bad_realm(endpoint: &Endpoint, realm: &str) -> Error {
    Error::host(format!(
        "{} sends for tokens to `{}`, which is no place",
        endpoint.host,
        shown(realm)
    ))
}

fn basic(name: &str, password: &str) -> Result<HeaderValue> {
    sensitive(&format!(
        "Basic {}",
        STANDARD.encode(format!("{name}:{password}"))
    ))
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| Error::host("a token has letters that none has"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn text_of<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|it| it.to_str().ok())
}

/// All challenges, as if they stood in one line.
fn text_of_all(headers: &HeaderMap) -> String {
    let all = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|it| it.to_str().ok());
    all.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_or_a_time() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        assert_eq!(pause("17", now), Some(Duration::from_secs(17)));
        let later = "Wed, 21 Oct 2015 07:28:05 GMT";
        assert_eq!(pause(later, now), Some(Duration::from_secs(5)));
        let before = "Wed, 21 Oct 2015 07:27:00 GMT";
        assert_eq!(pause(before, now), Some(Duration::ZERO));
        assert_eq!(pause("soon", now), None);
        assert_eq!(pause("-5", now), None);
    }
}
