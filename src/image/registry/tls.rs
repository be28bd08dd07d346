//! Whom a server has to be, and who nslab is to it: certificates, for all servers and for one.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Registries;
use crate::error::{Attempt as _, Error, Result};
use crate::source::Registry;

/// A file of certificates may not be longer.
const LONGEST: u64 = 1 << 20;
/// A directory of certificates may not have more files.
const MOST_FILES: usize = 64;

/// Where a registry's certificates are, beside those that the lab names: directories with one for each registry
/// (containers-certs.d(5)), the nearest first.
pub(crate) fn usual_directories() -> Vec<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let config = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let own = config.map(|it| it.join("containers/certs.d"));
    let all = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    own.into_iter().chain(all).collect()
}

/// What is known of certificates.
pub(crate) struct Trust {
    /// Those that every server's may be signed by.
    roots: RootCertStore,
    registries: Registries,
    directories: Vec<PathBuf>,
}

impl Trust {
    /// # Errors
    /// The file of certificates for all registries cannot be read.
    pub(crate) fn new(registries: &Registries, directories: Vec<PathBuf>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        // A host without certificates of its own reaches those of `ca`, and those without TLS.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &registries.ca {
            add(&mut roots, path)?;
        }
        Ok(Trust {
            roots,
            registries: registries.clone(),
            directories,
        })
    }

    /// How TLS is spoken to what only passes things on.
    pub(crate) fn usual(&self) -> Result<ClientConfig> {
        config(self.roots.clone(), None)
    }

    /// How TLS is spoken to a server (host, and perhaps port).
    ///
    /// # Errors
    /// Something that is meant for it cannot be read.
    pub(crate) fn of(&self, server: &str) -> Result<ClientConfig> {
        let names = names(server);
        let mut roots = self.roots.clone();
        let mut own = None;
        if let Some(directory) = self.directory(&names) {
            let found = Found::of(&directory)?;
            for path in &found.authorities {
                add(&mut roots, path)?;
            }
            own = found.own;
        }
        let said = names.iter().find_map(|it| self.registries.registry.get(it));
        if let Some(Registry { ca, cert, key }) = said {
            if let Some(path) = ca {
                add(&mut roots, path)?;
            }
            if let (Some(cert), Some(key)) = (cert, key) {
                own = Some((cert.clone(), key.clone()));
            }
        }
        config(roots, own)
    }

    fn directory(&self, names: &[String]) -> Option<PathBuf> {
        // No name leads elsewhere: `..` is none of a server.
        let names = || {
            names
                .iter()
                .filter(|it| !it.starts_with('.') && !it.contains('/'))
        };
        let all = self.directories.iter();
        all.flat_map(|directory| names().map(|it| directory.join(it)))
            .find(|it| it.is_dir())
    }
}

/// The names that a server has in files: with and without the usual port, and Docker Hub's own.
fn names(server: &str) -> Vec<String> {
    let server = server.to_ascii_lowercase();
    let mut names = vec![server.clone()];
    match server.strip_suffix(":443") {
        Some(host) => names.push(host.to_owned()),
        None if server.ends_with(']') || !server.contains(':') => names.push(format!("{server}:443")),
        None => {}
    }
    if names.iter().any(|it| it == "registry-1.docker.io") {
        names.push("docker.io".to_owned());
    }
    names
}

/// What a directory has for one server.
#[derive(Default)]
struct Found {
    /// `*.crt`: who may sign the server's certificate.
    authorities: Vec<PathBuf>,
    /// `*.cert` and `*.key`: who nslab is to it. The first pair is taken.
    own: Option<(PathBuf, PathBuf)>,
}

impl Found {
    fn of(directory: &Path) -> Result<Self> {
        let entries = match fs::read_dir(directory) {
            // What only root may see is not for others, as with Podman.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(Found::default()),
            other => other.at("look into", directory)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.at("look into", directory)?.path());
            if paths.len() > MOST_FILES {
                let message = format!("{} has more than {MOST_FILES} files", directory.display());
                return Err(Error::wrong(message));
            }
        }
        paths.sort();
        let mut found = Found::default();
        for path in paths {
            let other = |extension: &str| {
                let other = path.with_extension(extension);
                match other.exists() {
                    true => Ok(other),
                    false => Err(Error::wrong(format!("{} is there, but not {}", path.display(), other.display()))
                        .help("a certificate of one's own is two files: NAME.cert and NAME.key; who signs for others is NAME.crt")),
                }
            };
            match path.extension().and_then(|it| it.to_str()) {
                Some("crt") => found.authorities.push(path),
                Some("cert") => {
                    let key = other("key")?;
                    found.own.get_or_insert((path, key));
                }
                Some("key") => drop(other("cert")?),
                _ => {}
            }
        }
        Ok(found)
    }
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<()> {
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| no_certificates(path, &error))?;
    }
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = read(path)?;
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if all.is_empty() => Err(no_certificates(path, &"there is none")),
        Ok(all) => Ok(all),
        Err(error) => Err(no_certificates(path, &error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = |error: &std::io::Error| Error::wrong(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(|error| cannot(&error))?;
    let mut text = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(|error| cannot(&error))?;
    match text.len() as u64 > LONGEST {
        true => Err(no_certificates(
            path,
            &format!("it is longer than {LONGEST} bytes"),
        )),
        false => Ok(text),
    }
}

fn no_certificates(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::wrong(format!("{} has no certificates in PEM: {why}", path.display()))
}

fn config(roots: RootCertStore, own: Option<(PathBuf, PathBuf)>) -> Result<ClientConfig> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::host(format!("cannot prepare TLS: {error}")))?
        .with_root_certificates(roots);
    let Some((cert, key)) = own else {
        return Ok(builder.with_no_client_auth());
    };
    let no_key = |why: &dyn std::fmt::Display| {
        Error::wrong(format!(
            "{} has no key in PEM for {}: {why}",
            key.display(),
            cert.display()
        ))
    };
    let own = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|error| no_key(&error))?;
    builder
        .with_client_auth_cert(certificates(&cert)?, own)
        .map_err(|error| no_key(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_names_with_and_without_its_port() {
        assert_eq!(names("Q.io"), ["q.io", "q.io:443"]);
        assert_eq!(names("q.io:443"), ["q.io:443", "q.io"]);
        assert_eq!(names("q.io:5000"), ["q.io:5000"]);
        assert_eq!(names("[fd00::1]"), ["[fd00::1]", "[fd00::1]:443"]);
        assert!(names("registry-1.docker.io").contains(&"docker.io".to_owned()));
    }

    #[test]
    fn the_nearest_directory_of_a_server_is_taken() {
        let scratch = tempfile::tempdir().unwrap();
        let places: Vec<PathBuf> = ["a", "b"].iter().map(|it| scratch.path().join(it)).collect();
        fs::create_dir_all(places[1].join("q.io")).unwrap();
        let trust = Trust::new(&Registries::default(), places.clone()).unwrap();
        assert_eq!(trust.directory(&names("q.io:443")), Some(places[1].join("q.io")));
        fs::create_dir_all(places[0].join("q.io:443")).unwrap();
        assert_eq!(trust.directory(&names("q.io")), Some(places[0].join("q.io:443")));
        assert_eq!(trust.directory(&names("q.io:5000")), None);
        assert_eq!(trust.directory(&names("..")), None);
    }

    #[test]
    fn what_is_wrong_in_a_directory_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let own = scratch.path().join("q.io");
        fs::create_dir_all(&own).unwrap();
        let refused = || {
            let trust = Trust::new(&Registries::default(), vec![scratch.path().to_owned()]).unwrap();
            trust.of("q.io").unwrap_err().message
        };
        fs::write(own.join("a.crt"), "no PEM").unwrap();
        assert!(refused().contains("a.crt has no certificates"), "{}", refused());
        fs::write(own.join("a.crt"), vec![b'x'; LONGEST as usize + 1]).unwrap();
        assert!(refused().contains("longer"), "{}", refused());
        fs::remove_file(own.join("a.crt")).unwrap();
        fs::write(own.join("me.cert"), "x").unwrap();
        assert!(refused().contains("but not"), "{}", refused());
        fs::write(own.join("me.key"), "x").unwrap();
        assert!(refused().contains("me.key has no key"), "{}", refused());
        fs::remove_file(own.join("me.cert")).unwrap();
        assert!(refused().contains("but not"), "{}", refused());
        fs::remove_file(own.join("me.key")).unwrap();
        for number in 0..=MOST_FILES {
            fs::write(own.join(number.to_string()), "").unwrap();
        }
        assert!(refused().contains("more than"), "{}", refused());
    }
}
