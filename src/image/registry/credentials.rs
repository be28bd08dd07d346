//! Names and passwords for registries, where Docker and Podman keep them (containers-auth.json(5)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::error::{Attempt as _, Error, Result};

/// A file with credentials may not be longer.
const LONGEST: u64 = 1 << 20;
/// How long a helper may take: it may have to ask somebody for a password.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is shown to a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    /// Name and password.
    Password(String, String),
    /// A refresh token (OAuth 2).
    IdentityToken(String),
}

/// Where credentials are looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    /// Files that need not be there.
    pub(crate) usual: Vec<PathBuf>,
    /// The one that has to be (`REGISTRY_AUTH_FILE`).
    pub(crate) named: Option<PathBuf>,
}

impl Files {
    /// Those that the environment leads to.
    pub(crate) fn of_environment() -> Self {
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|it| !it.is_empty())
                .map(PathBuf::from)
        };
        let home = variable("HOME");
        let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let docker = variable("DOCKER_CONFIG").or_else(|| below_home(".docker"));
        let config = variable("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let usual = [
            variable("XDG_RUNTIME_DIR").map(|it| it.join("containers/auth.json")),
            config.map(|it| it.join("containers/auth.json")),
            docker.map(|it| it.join("config.json")),
        ];
        Files {
            usual: usual.into_iter().flatten().collect(),
            named: variable("REGISTRY_AUTH_FILE"),
        }
    }

    /// What is known for a repository of a registry.
    ///
    /// # Errors
    /// A file cannot be read, or a helper fails.
    pub(crate) fn find(&self, registry: &str, repository: &str) -> Result<Option<Secret>> {
        let files: Vec<(&PathBuf, bool)> = match &self.named {
            Some(file) => vec![(file, true)],
            None => self.usual.iter().map(|it| (it, false)).collect(),
        };
        for (path, must_be) in files {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error)
                    if !must_be
                        && matches!(
                            error.kind(),
                            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied
                        ) =>
                {
                    continue;
                }
                Err(error) => {
                    return Err(Error::io(format!("read {}", path.display()), &error)
                        .help("REGISTRY_AUTH_FILE names it"));
                }
            };
            let mut text = Vec::new();
            file.take(LONGEST).read_to_end(&mut text).at("read", path)?;
            let table: Table = serde_json::from_slice(&text).map_err(|error| {
                // The error's own text could have a piece of a secret in it.
                let message = format!(
                    "{}: line {} is not what it should be",
                    path.display(),
                    error.line()
                );
                Error::wrong(message).help("it is to be written as `docker login` writes it")
            })?;
            let found = table
                .find(registry, repository)
                .map_err(|error| error.of(path.display()))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Table {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl Table {
    fn find(&self, registry: &str, repository: &str) -> Result<Option<Secret>> {
        let hosts: &[&str] = match registry {
            "docker.io" | "registry-1.docker.io" => &["docker.io", "index.docker.io", "registry-1.docker.io"],
            other => &[other],
        };
        if let Some(helper) = hosts.iter().find_map(|host| self.cred_helpers.get(*host)) {
            return ask(helper, hosts);
        }
        // The most exact of the keys counts: a repository's before its registry's.
        let mut best: Option<(usize, &Auth)> = None;
        for (key, auth) in &self.auths {
            let key = bare(key);
            let fits = hosts.iter().any(|host| {
                let whole = format!("{host}/{repository}");
                key == *host
                    || whole == key
                    || whole.strip_prefix(key).is_some_and(|rest| rest.starts_with('/'))
            });
            if fits && best.is_none_or(|(length, _)| key.len() > length) {
                best = Some((key.len(), auth));
            }
        }
        match best.map(|(_, auth)| auth.secret()).transpose()?.flatten() {
            Some(secret) => Ok(Some(secret)),
            None => self
                .creds_store
                .as_ref()
                .map_or(Ok(None), |helper| ask(helper, hosts)),
        }
    }
}

/// A key without what older Dockers put around the host.
fn bare(key: &str) -> &str {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1")
        .or_else(|| key.strip_suffix("/v2"))
        .unwrap_or(key)
}

impl Auth {
    fn secret(&self) -> Result<Option<Secret>> {
        if let Some(token) = self.identitytoken.as_ref().filter(|it| !it.is_empty()) {
            return Ok(Some(Secret::IdentityToken(token.clone())));
        }
        if let Some(text) = self.auth.as_ref().filter(|it| !it.is_empty()) {
            let wrong = || Error::wrong("an `auth` is not NAME:PASSWORD in base64");
            let text = STANDARD
                .decode(text.trim())
                .ok()
                .and_then(|it| String::from_utf8(it).ok())
                .ok_or_else(wrong)?;
            let (name, password) = text.trim_end_matches('\0').split_once(':').ok_or_else(wrong)?;
            return Ok(Some(Secret::Password(name.to_owned(), password.to_owned())));
        }
        Ok(match (&self.username, &self.password) {
            (Some(name), Some(password)) => Some(Secret::Password(name.clone(), password.clone())),
            _ => None,
        })
    }
}

/// Asks a credential helper (docker-credential-helpers): none where it has nothing.
fn ask(helper: &str, hosts: &[&str]) -> Result<Option<Secret>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let is_word = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    if helper.is_empty() || !helper.chars().all(is_word) {
        return Err(Error::wrong("the name of a credential helper is not one"));
    }
    let program = format!("docker-credential-{helper}");
    // Docker's own registry goes by an older name there.
    let server = match hosts {
        ["docker.io", ..] => "https://index.docker.io/v1/",
        _ => hosts.first().copied().unwrap_or_default(),
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            Error::io(format!("run {program}"), &error)
                .help(format!("install it, or run `docker login {server}` anew"))
        })?;
    if let Some(mut input) = child.stdin.take() {
        // One that reads nothing says so by how it ends.
        drop(input.write_all(server.as_bytes()));
    }
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = output.map(|it| it.take(LONGEST).read_to_end(&mut text));
        read.transpose().map(|_| text)
    });
    let is_well = wait(&mut child, &program)?;
    let text = reader
        .join()
        .unwrap_or_else(|_| Ok(Vec::new()))
        .attempt(|| format!("read what {program} says"))?;
    if !is_well {
        let said = String::from_utf8_lossy(&text);
        return match said.contains("credentials not found") {
            true => Ok(None),
            false => Err(Error::host(format!(
                "{program} fails: {}",
                crate::manifest::shown(said.trim())
            ))),
        };
    }
    let answer: Answer = serde_json::from_slice(&text)
        .map_err(|_| Error::host(format!("{program} answers something that is not a secret")))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Secret::IdentityToken(answer.secret),
        _ => Secret::Password(answer.username, answer.secret),
    }))
}

/// Whether a helper ended well.
fn wait(child: &mut Child, program: &str) -> Result<bool> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().attempt(|| format!("wait for {program}"))? {
            return Ok(status.success());
        }
        if Instant::now() > until {
            // It is ended, whatever else fails.
            drop(child.kill());
            drop(child.wait());
            return Err(Error::host(format!(
                "{program} did not answer within {} s",
                PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, registry: &str, repository: &str) -> Option<(String, String)> {
        let table: Table = serde_json::from_str(text).unwrap();
        table.find(registry, repository).unwrap().map(|it| match it {
            Secret::Password(name, password) => (name, password),
            Secret::IdentityToken(token) => ("<token>".to_owned(), token),
        })
    }

    #[test]
    fn the_most_exact_entry_counts() {
        let text = r#"{"auths":{"q.io":{"auth":"YTpi"},"q.io/x":{"username":"c","password":"d"},
            "https://index.docker.io/v1/":{"auth":"ZDpl"},"t.io":{"identitytoken":"z"},"e.io":{}}}"#;
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(find(text, "q.io", "y"), pair("a", "b"));
        assert_eq!(find(text, "q.io", "x/y"), pair("c", "d"));
        assert_eq!(find(text, "q.io", "xy"), pair("a", "b"));
        assert_eq!(find(text, "docker.io", "library/a"), pair("d", "e"));
        assert_eq!(find(text, "registry-1.docker.io", "library/a"), pair("d", "e"));
        assert_eq!(find(text, "t.io", "a"), pair("<token>", "z"));
        assert_eq!(find(text, "e.io", "a"), None);
        assert_eq!(find(text, "q.io:5000", "a"), None);
        assert_eq!(find("{}", "q.io", "a"), None);
    }

    #[test]
    fn helpers_are_programs_of_one_directory() {
        let table: Table = serde_json::from_str(r#"{"credHelpers":{"q.io":"../../bin/sh"}}"#).unwrap();
        assert!(table.find("q.io", "a").is_err());
    }
}
