//! The programs a cluster is made of, wherever this host has them.

use std::collections::BTreeMap;
use std::env;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::kernel::{isolate, output};
use crate::lab::model::Cluster;

/// The oldest minor version whose flags are known here.
const OLDEST: u32 = 20;
/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(30);
/// What runs on every node.
const ON_NODES: [&str; 4] = ["containerd", "runc", "kubelet", "kubectl"];
/// What runs beside it where the control plane is.
const ON_CONTROL_PLANE: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// What runs on every node where it is asked for.
pub const PROXY: &str = "kube-proxy";

/// Where programs are looked for: in a directory of the lab's, on PATH, and where `scripts/kubernetes-binaries` puts them.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    directories: Vec<PathBuf>,
    with_proxy: bool,
}

impl Programs {
    /// Those of a lab.
    pub fn of(lab: &Cluster) -> Programs {
        let path = env::var_os("PATH").unwrap_or_default();
        let own = lab.bin_dir.clone().into_iter();
        Programs {
            directories: own.chain(env::split_paths(&path)).chain(built()).collect(),
            with_proxy: lab.kube_proxy,
        }
    }

    /// A program's path. A kubectl is taken from where the kubelet is, if there is one: then it is of the same version.
    fn find(&self, name: &str) -> Option<PathBuf> {
        let mut directories: Vec<&Path> = self.directories.iter().map(PathBuf::as_path).collect();
        if name == "kubectl" {
            directories.sort_by_key(|directory| !directory.join("kubelet").is_file());
        }
        let mut paths = directories.into_iter().map(|directory| directory.join(name));
        paths.find(|path| path.is_file())
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let all = ON_NODES.into_iter().chain(ON_CONTROL_PLANE);
        all.chain(self.with_proxy.then_some(PROXY))
    }

    /// Where all of them are, by name.
    ///
    /// # Errors
    /// Some are not there.
    pub fn all(&self) -> Result<BTreeMap<String, String>, Failure> {
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for name in self.names() {
            match self.find(name) {
                Some(path) => drop(found.insert(name.to_owned(), path.to_string_lossy().into_owned())),
                None => missing.push(name),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let message = format!(
            "the kubelet engine needs {}, not found on this host",
            missing.join(", ")
        );
        Err(Failure::host(message).help(
            "install containerd, runc and etcd, and Kubernetes' own programs on PATH or where `bin_dir` of [kubernetes] says; \
             on Debian, `scripts/kubernetes-binaries` builds those",
        ))
    }

    /// What those that are there say that they are, by name.
    pub fn versions(&self) -> Vec<(&'static str, String)> {
        let number = |text: &str| {
            let words = text.split(|c: char| c.is_whitespace() || c == ',');
            let words = words.map(|word| word.trim_start_matches('v'));
            let mut numbers =
                words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
            numbers.next().unwrap_or_default().to_owned()
        };
        let found = self.names().filter_map(|name| Some((name, self.find(name)?)));
        let asked = found.map(|(name, path)| {
            let how: &[&str] = if name == "kubectl" {
                &["version", "--client"]
            } else {
                &["--version"]
            };
            let text = ask(&path, how).unwrap_or_default();
            // kubectl of old tells a structure.
            let version = text
                .split("GitVersion:\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            (name, number(version.unwrap_or(&text)))
        });
        asked.collect()
    }

    /// The minor version of Kubernetes 1 that all of Kubernetes' programs are of.
    ///
    /// # Errors
    /// One does not say, is too old, or is of another version than the others may be.
    pub fn minor_version(&self) -> Result<u32, Failure> {
        let minor = |name: &str| {
            let path = self.find(name).unwrap_or_else(|| name.into());
            let text = ask(&path, &["--version"]).unwrap_or_default();
            minor_of(&text).ok_or_else(|| {
                let said = text.lines().next().unwrap_or("nothing").to_owned();
                Failure::host(format!(
                    "{} does not tell a version of Kubernetes",
                    path.display()
                ))
                .detail(format!("asked for its version, as a user without rights, it says: {said}"))
                .help(
                    "`bin_dir` of [kubernetes] says where the programs of one version are, which every user has to be allowed to \
                     execute",
                )
            })
        };
        let kubelet = minor("kubelet")?;
        if kubelet < OLDEST {
            let message = format!(
                "the kubelet found is of Kubernetes 1.{kubelet}; 1.{OLDEST} is the oldest that is known here"
            );
            return Err(Failure::host(message));
        }
        for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
            let other = minor(name)?;
            // Kubernetes' version skew policy: a kubelet is never newer than its API server.
            if kubelet > other || (name != "kube-apiserver" && other != minor("kube-apiserver")?) {
                let message = format!(
                    "{name} is of Kubernetes 1.{other} and the kubelet of 1.{kubelet}, which do not go together"
                );
                return Err(Failure::host(message)
                    .help("`bin_dir` of [kubernetes] says where the programs of one version are"));
            }
        }
        Ok(kubelet)
    }
}

/// What a program says when it is asked. A lab file may have named it: it is run as nobody, with a limit.
fn ask(program: &Path, words: &[&str]) -> Option<String> {
    let mut command = isolate::command(program).ok()?;
    let done = output::run(command.args(words), Instant::now() + PATIENCE, None::<&OwnedFd>).ok()?;
    Some(String::from_utf8_lossy(&done.out).into_owned())
}

fn built() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    Some(cache.join("nslab/kubernetes/bin"))
}

/// `Kubernetes v1.20.2`.
fn minor_of(text: &str) -> Option<u32> {
    text.trim()
        .strip_prefix("Kubernetes v1.")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(minor_of("Kubernetes v1.20.2\n"), Some(20));
        assert_eq!(minor_of("Kubernetes v1.36.0-rc.1\n"), Some(36));
        assert_eq!(minor_of("kubelet: not found"), None);
    }
}
