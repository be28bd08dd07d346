//! Addresses of the web: only as much of RFC 3986 as registries need.

use http::Uri;
use http::uri::Authority;

use super::is_loopback;
use crate::error::{Error, Result};
use crate::manifest::shown;

/// Where a redirect leads to, seen from where it was said.
///
/// # Errors
/// It leads from TLS to where there is none, or nowhere.
pub(crate) fn redirected(from: &Uri, location: &str) -> Result<Uri> {
    let wrong = || {
        Error::host(format!(
            "the registry redirects to `{}`, which is no place",
            shown(location)
        ))
    };
    let whole = match location.starts_with('/') && !location.starts_with("//") {
        true => format!("{}://{}{location}", scheme(from), authority(from)),
        false => location.to_owned(),
    };
    let to: Uri = whole.parse().map_err(|_| wrong())?;
    match (scheme(from), to.scheme_str()) {
        (_, Some("https")) | ("http", Some("http")) if to.host().is_some() => Ok(to),
        ("https", Some("http")) => Err(Error::host(format!(
            "the registry redirects to {}, where there is no TLS",
            shown(authority(&to))
        ))),
        _ => Err(wrong()),
    }
}

/// Whether two addresses are of one server.
pub(crate) fn is_same_server(a: &Uri, b: &Uri) -> bool {
    let port = |it: &Uri| {
        it.port_u16()
            .unwrap_or(if scheme(it) == "http" { 80 } else { 443 })
    };
    let host = |it: &Uri| it.host().unwrap_or_default().to_ascii_lowercase();
    scheme(a) == scheme(b) && host(a) == host(b) && port(a) == port(b)
}

/// Whether a password for a registry may be sent to an address: with TLS, or on this host, or on the registry's own where that has
/// no TLS either. Whoever answers in place of a registry without TLS could name any other.
pub(crate) fn may_have_secrets(realm: &Uri, registry: &str, registry_has_tls: bool) -> bool {
    match realm.scheme_str() {
        Some("https") => true,
        Some("http") => {
            let is_own = || {
                let own = registry.parse::<Authority>().ok();
                let names = (own.as_ref().map(Authority::host), realm.host());
                matches!(names, (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
            };
            is_loopback(authority(realm)) || (!registry_has_tls && is_own())
        }
        _ => false,
    }
}

/// A word as part of a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|it| match it {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(it).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn scheme(uri: &Uri) -> &str {
    uri.scheme_str().unwrap_or_default()
}

/// Host and port.
pub(crate) fn authority(uri: &Uri) -> &str {
    let whole = uri.authority().map_or("", Authority::as_str);
    whole.rsplit('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_lose_tls() {
        let from: Uri = "https://q.io/v2/a".parse().unwrap();
        assert_eq!(redirected(&from, "/x?y").unwrap().to_string(), "https://q.io/x?y");
        assert!(redirected(&from, "https://cdn.q.io/x").is_ok());
        for wrong in [
            "http://q.io/x",
            "x",
            "",
            "//e.io/x",
            "file:///etc/passwd",
            "https://",
            "ftp://a/b",
        ] {
            assert!(redirected(&from, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_is_its_scheme_host_and_port() {
        let same = |a: &str, b: &str| is_same_server(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://q.io/a", "https://Q.io:443/b"));
        assert!(!same("https://q.io/a", "https://q.io:444/b"));
        assert!(!same("https://q.io/a", "http://q.io/b"));
        assert!(!same("https://q.io/a", "https://q.io.evil/b"));
    }

    #[test]
    fn passwords_go_where_nobody_else_reads_them() {
        let may = |realm: &str, registry: &str, has_tls: bool| {
            may_have_secrets(&realm.parse().unwrap(), registry, has_tls)
        };
        for (realm, registry, has_tls) in [
            ("https://auth.io/t", "q.io", true),
            ("https://auth.io/t", "10.0.0.1:5000", false),
            ("http://127.0.0.1:80/t", "q.io", true),
            ("http://localhost/t", "10.0.0.1:5000", false),
            ("http://[::1]:5001/t", "10.0.0.1:5000", false),
            ("http://10.0.0.1:5001/t", "10.0.0.1:5000", false),
            ("http://Reg.lab/t", "reg.LAB:5000", false),
            ("http://[fd00::1]/t", "[fd00::1]:5000", false),
        ] {
            assert!(may(realm, registry, has_tls), "{realm} {registry}");
        }
        for (realm, registry, has_tls) in [
            ("http://q.io/t", "q.io", true),
            ("http://10.0.0.2:5000/t", "10.0.0.1:5000", false),
            ("http://reg.lab.evil/t", "reg.lab", false),
            ("http://reg.lab@evil/t", "reg.lab", false),
            ("http://localhost@evil/t", "reg.lab", false),
            ("http://127.0.0.1.evil/t", "reg.lab", false),
            ("http://evil/t", "localhost:5000", false),
            ("http://[fd00::2]/t", "[fd00::1]:5000", false),
            ("ftp://10.0.0.1/t", "10.0.0.1:5000", false),
            ("http://evil/t", "not a name", false),
        ] {
            assert!(!may(realm, registry, has_tls), "{realm} {registry}");
        }
    }
}
