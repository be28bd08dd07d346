//! What container images stand for: nslab runs none, and gives a node what its image was chosen for.

use crate::lab::file::suggest;

/// What an image stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A router that runs FRR.
    Frr,
    /// A computer with the host's own tools.
    Tools,
}

/// The roles by name, as `--image-map IMAGE=ROLE` takes them.
pub const ROLES: [(&str, Role); 2] = [("frr", Role::Frr), ("tools", Role::Tools)];

/// What becomes of images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// This machine's programs stand for images that nslab knows; others run.
    #[default]
    Auto,
    /// Every image runs.
    Run,
    /// None runs: those that stand for nothing are refused.
    Map,
}

/// A node's label that says it in the file itself, where containerlab takes no notice.
pub(super) const LABEL: &str = "nslab-image";

/// Repositories by the end of their name, without registry, tag and digest.
const KNOWN: &[(&str, Role)] = &[
    ("frrouting/frr", Role::Frr),
    ("frrouting/frr-debian", Role::Frr),
    ("frr", Role::Frr),
    ("netshoot", Role::Tools),
    ("network-multitool", Role::Tools),
    ("multitool", Role::Tools),
    ("alpine", Role::Tools),
    ("alpine-host", Role::Tools),
    ("busybox", Role::Tools),
    ("debian", Role::Tools),
    ("ubuntu", Role::Tools),
    ("fedora", Role::Tools),
    ("centos", Role::Tools),
    ("rockylinux", Role::Tools),
    ("almalinux", Role::Tools),
    ("archlinux", Role::Tools),
    ("python", Role::Tools),
    ("bash", Role::Tools),
    ("iperf3", Role::Tools),
    ("kindest/node", Role::Tools),
];

/// Images of the user's own.
pub type ImageMap = Vec<(String, Role)>;

/// What the user says that an image stands for.
pub(super) fn said(image: &str, map: &ImageMap) -> Option<Role> {
    let repository = repository(image);
    let own = map.iter().rev().find(|(known, _)| {
        known == image || matches(self::repository(known), repository) || matches(known, image)
    });
    own.map(|(_, role)| *role)
}

/// What an image stands for; the user's own table goes first.
pub(super) fn role(image: &str, map: &ImageMap) -> Option<Role> {
    if let Some(role) = said(image, map) {
        return Some(role);
    }
    let repository = repository(image);
    let known = KNOWN.iter().find(|(known, _)| {
        let before = repository.strip_suffix(known);
        before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    });
    known.map(|(_, role)| *role)
}

/// Whether a name fits a pattern, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(begin) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        // The first place that fits leaves the most for what follows.
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// What a container of an image serves on port 80 by itself, where nothing else runs in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Serves {
    /// Its page; `{host}` and `{address}` are the node's.
    pub page: &'static str,
    /// The file that takes its place where there is one.
    pub file: Option<&'static str>,
    /// Whether the image answers on port 443, too.
    pub https: bool,
}

/// What an image serves.
pub(super) fn serves(image: &str) -> Option<Serves> {
    let repository = repository(image);
    let name = repository.rsplit('/').next().unwrap_or_default();
    let (page, file, https) = match name {
        "network-multitool" | "multitool" => (
            "WBITT Network MultiTool (with NGINX) - {host} - {address} - HTTP: 80 , HTTPS: 443 . (Formerly praqma/network-multitool)",
            Some("/usr/share/nginx/html/index.html"),
            true,
        ),
        "nginx" => (
            "<!DOCTYPE html><html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>",
            Some("/usr/share/nginx/html/index.html"),
            false,
        ),
        "httpd" => (
            "<html><body><h1>It works!</h1></body></html>",
            Some("/usr/local/apache2/htdocs/index.html"),
            false,
        ),
        "caddy" => ("Caddy works!", Some("/usr/share/caddy/index.html"), false),
        _ => return None,
    };
    Some(Serves { page, file, https })
}

/// An image's name without its tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        // A colon before a slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// A role by its name.
///
/// # Errors
/// A sentence that lists the names.
pub(super) fn named(text: &str) -> Result<Role, String> {
    let found = ROLES.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, role)| *role)
        .ok_or_else(|| suggest::cure(text, ROLES.map(|(name, _)| name), "the roles are", ""))
}

/// An entry of the user's table, `IMAGE=ROLE`.
///
/// # Errors
/// A sentence for the user.
pub fn entry(text: &str) -> Result<(String, Role), String> {
    let help = "write IMAGE=frr or IMAGE=tools, such as example.com/my-router=frr or 'example.com/*=tools'";
    let (image, role) = text.rsplit_once('=').ok_or(help)?;
    let role = named(role).map_err(|cure| format!("{help} ({cure})"))?;
    match image.is_empty() {
        true => Err(help.to_owned()),
        false => Ok((image.to_owned(), role)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_digests_and_registries_do_not_matter() {
        let role = |image| role(image, &Vec::new());
        assert_eq!(role("frrouting/frr:v8.2.2"), Some(Role::Frr));
        assert_eq!(role("quay.io/frrouting/frr:9.1.0"), Some(Role::Frr));
        assert_eq!(role("localhost:5000/frr@sha256:00"), Some(Role::Frr));
        assert_eq!(role("nicolaka/netshoot"), Some(Role::Tools));
        assert_eq!(role("alpine:3"), Some(Role::Tools));
        assert_eq!(role("example.com/notalpine"), None);
        assert_eq!(role("nginx"), None);
    }

    #[test]
    fn the_users_table_goes_first() {
        let map = vec![
            entry("nginx=tools").unwrap(),
            entry("frrouting/frr:v8=tools").unwrap(),
        ];
        assert_eq!(role("nginx:1.2", &map), Some(Role::Tools));
        assert_eq!(role("frrouting/frr:v8", &map), Some(Role::Tools));
        let map = vec![
            entry("*/toolbox*=tools").unwrap(),
            entry("lab.example/*=frr").unwrap(),
        ];
        assert_eq!(role("registry.example/x/toolbox-1:2", &map), Some(Role::Tools));
        assert_eq!(role("lab.example/a/b@sha256:00", &map), Some(Role::Frr));
        assert_eq!(role("toolbox", &map), None);
        assert!(entry("nginx").is_err() && entry("=frr").is_err() && entry("a=rfr").is_err());
    }
}
