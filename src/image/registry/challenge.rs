//! What a registry wants to see before it answers (RFC 9110 section 11.6.1).

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password.
    Basic,
    /// A token, to be had elsewhere (distribution specification, "Token Authentication").
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// Reads a `WWW-Authenticate`. Tokens are preferred, because nslab's password goes to one place only then.
pub(crate) fn read(text: &str) -> Option<Challenge> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if let Some(at) = find_scheme(&lower, "bearer") {
        let parameter = |name: &str| parameter(&text[at + "bearer".len()..], name);
        return Some(Challenge::Bearer {
            realm: parameter("realm")?,
            service: parameter("service"),
            scope: parameter("scope"),
        });
    }
    find_scheme(&lower, "basic").map(|_| Challenge::Basic)
}

/// Where a scheme stands: at the beginning, or behind a comma.
fn find_scheme(text: &str, name: &str) -> Option<usize> {
    text.match_indices(name).map(|(at, _)| at).find(|at| {
        let before = text[..*at].trim_end();
        let after = text[at + name.len()..].chars().next();
        (before.is_empty() || before.ends_with(',')) && after.is_none_or(char::is_whitespace)
    })
}

/// A parameter's value, in quotes or not.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let dockers = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        assert_eq!(
            read(dockers),
            Some(Challenge::Bearer {
                realm: "https://auth.docker.io/token".to_owned(),
                service: Some("registry.docker.io".to_owned()),
                scope: Some("repository:a/b:pull,push".to_owned()),
            })
        );
        assert_eq!(read(r#"Basic realm="Registry Realm""#), Some(Challenge::Basic));
        let both = r#"Basic realm="bearer of news", bearer Realm=http://a/t"#;
        assert!(matches!(read(both), Some(Challenge::Bearer { realm, .. }) if realm == "http://a/t"));
        for wrong in [
            "",
            "Negotiate",
            "Bearer",
            "Bearer realm",
            r#"Bearer realm="x"#,
            r#"Bearer realm="\"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
