//! Paths in a lab file that stands somewhere else than what it was made of.

use std::path::{Component, Path, PathBuf};

use crate::lab::file::{ConfigSpec, ContentSpec, NodeSpec, Spec};

/// Rewrites the paths that are relative to `from`, so that they mean the same from `to`; those of manifests were relative to
/// `here`. All three are absolute.
pub fn relocate(spec: &mut Spec, from: &Path, here: &Path, to: &Path) {
    let move_to = |path: &mut String, base: &Path| {
        if let Some(moved) = moved(path, base, to) {
            *path = moved;
        }
    };
    let tables = spec.kinds.values_mut().chain(spec.groups.values_mut());
    let nodes = spec.nodes.iter_mut().map(|(_, node)| node);
    for node in nodes.chain(tables).chain(std::iter::once(&mut spec.defaults)) {
        for path in paths(node) {
            move_to(path, from);
        }
    }
    for manifest in spec.cilium.iter_mut().flat_map(|cilium| &mut cilium.manifests) {
        move_to(&mut manifest.value, here);
    }
}

fn paths(node: &mut NodeSpec) -> Vec<&mut String> {
    let binds = node.binds.iter_mut().map(|bind| &mut bind.source.value);
    let files = node.files.iter_mut().filter_map(|file| match &mut file.content {
        ContentSpec::From(path) => Some(&mut path.value),
        ContentSpec::Text(_) => None,
    });
    let config = node
        .config
        .iter_mut()
        .filter_map(|config| match &mut config.value {
            ConfigSpec::File(path) => Some(&mut path.value),
            ConfigSpec::Text { .. } => None,
        });
    let license = node.license.iter_mut().map(|license| &mut license.value);
    binds.chain(files).chain(config).chain(license).collect()
}

/// A path from another directory; nothing where it stays as it is.
fn moved(path: &str, from: &Path, to: &Path) -> Option<String> {
    if from == to || Path::new(path).is_absolute() {
        return None;
    }
    let target = plain(&from.join(path));
    let to = plain(to);
    let common = target
        .components()
        .zip(to.components())
        .take_while(|(one, other)| one == other)
        .count();
    // With nothing in common but the root, a way up there says less than the path itself.
    if common <= 1 {
        return target.to_str().map(str::to_owned);
    }
    let up = to.components().skip(common).map(|_| Component::ParentDir);
    let moved: PathBuf = up.chain(target.components().skip(common)).collect();
    let moved = if moved.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        moved
    };
    let slash = if path.ends_with('/') { "/" } else { "" };
    moved.to_str().map(|moved| format!("{moved}{slash}"))
}

/// A path without `.` and `..`, as its words have it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_the_same_from_another_directory() {
        let moved = |path: &str, from: &str, to: &str| moved(path, Path::new(from), Path::new(to));
        assert_eq!(moved("a/b", "/x", "/x"), None);
        assert_eq!(moved("/a/b", "/x", "/y"), None);
        assert_eq!(
            moved("conf/r1", "/home/a/lab", "/home/a/out"),
            Some("../lab/conf/r1".into())
        );
        assert_eq!(
            moved("./conf/", "/home/a", "/home/a/out/deep"),
            Some("../../conf/".into())
        );
        assert_eq!(moved("../conf", "/home/a/lab", "/home/a"), Some("conf".into()));
        assert_eq!(moved("conf", "/srv/lab", "/home/a"), Some("/srv/lab/conf".into()));
        assert_eq!(moved(".", "/home/a", "/home/a/b"), Some("..".into()));
    }
}
