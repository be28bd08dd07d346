//! What a node has of its own in the places where the host has something else.

use std::path::Path;

/// Directories that are the node's own from the start: path, mode.
pub const OWN: [(&str, u32); 5] = [
    // How the host's own containers are joined to networks says nothing of a node's.
    ("/etc/cni/net.d", 0o755),
    ("/run", 0o755),
    ("/run/lock", 0o1777),
    ("/tmp", 0o1777),
    ("/var/log", 0o755),
];

/// Whether nodes have something of their own where the host has this path, and so do not see it.
pub fn hides(path: &Path) -> bool {
    OWN.iter().any(|(own, _)| path.starts_with(own))
}
