//! The programs a cluster is made of, wherever this host has them.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;

/// What runs on every node.
const ON_NODES: [&str; 4] = ["containerd", "runc", "kubelet", "kubectl"];
/// What runs beside it where the control plane is.
const ON_CONTROL_PLANE: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// A program's path: on PATH, or where `scripts/kubernetes-binaries` puts it.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = env::split_paths(&path).chain(built()).collect();
    all.into_iter()
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

fn built() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    Some(cache.join("nslab/kubernetes/bin"))
}

/// Where all of them are, by name.
pub fn all() -> BTreeMap<String, String> {
    let names = ON_NODES.iter().chain(&ON_CONTROL_PLANE);
    let found =
        names.filter_map(|name| Some(((*name).to_owned(), find(name)?.to_string_lossy().into_owned())));
    found.collect()
}

/// Whether all are there.
///
/// # Errors
/// Some are not.
pub fn check() -> Result<(), Failure> {
    let all = ON_NODES.iter().chain(&ON_CONTROL_PLANE);
    let missing: Vec<&str> = all.copied().filter(|name| find(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::host(format!("the kubelet engine needs {}, not found on this host", missing.join(", "))).help(
        "install containerd, runc and etcd, and Kubernetes' own programs on PATH; on Debian, `scripts/kubernetes-binaries` \
         builds those",
    ))
}

/// The minor version of Kubernetes 1 that the kubelet is of.
///
/// # Errors
/// It does not say.
pub fn minor_version() -> Result<u32, Failure> {
    let kubelet = find("kubelet").unwrap_or_else(|| "kubelet".into());
    let output = Command::new(&kubelet).arg("--version").output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    minor_of(&text).ok_or_else(|| Failure::host(format!("{} does not tell its version", kubelet.display())))
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
