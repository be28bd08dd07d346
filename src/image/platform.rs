//! Which of an index's images is for this host.

use serde::{Deserialize, Serialize};

/// What a program is built for, in Go's words, as images have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
}

impl Platform {
    /// This host's.
    pub(crate) fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            other => (other, None),
        };
        Platform {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well an image for `self` runs on `host`: the greater the better, none where it does not.
    pub(crate) fn fits(&self, host: &Platform) -> Option<u8> {
        if self.os != host.os || self.architecture != host.architecture {
            return None;
        }
        match (self.variant.as_deref(), host.variant.as_deref()) {
            (a, b) if a == b => Some(3),
            (None, _) => Some(2),
            // amd64/v1 is every amd64; v2 and later need more than is known of the host.
            (Some("v1"), None) => Some(2),
            (Some(a), Some(b)) if a < b => Some(1),
            _ => None,
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .iter()
            .try_for_each(|variant| write!(f, "/{variant}"))
    }
}
