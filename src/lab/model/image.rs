//! A node that is an image.

use serde::{Deserialize, Serialize};

use super::Restart;
use nslab_image::config::Healthcheck;
use nslab_image::source::{Pull, Source};

/// Who is the first process of a node that is an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// nslab's own, which starts the image's program, and reaps.
    #[default]
    Nslab,
    /// The image's program, as an init system wants to be.
    Image,
}

/// The image that a node is, and what holds in place of what the image says. What is `None` is as the image says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Where it is.
    pub source: Source,
    /// When it is asked for there.
    pub pull: Pull,
    /// The program and its first arguments. Where it is given, the image's own `cmd` does not follow it.
    pub entrypoint: Option<Vec<String>>,
    /// What follows the entrypoint.
    pub cmd: Option<Vec<String>>,
    /// The user of whatever runs in the node.
    pub user: Option<String>,
    /// Where that starts.
    pub workdir: Option<String>,
    /// What asks whether the program is well.
    pub healthcheck: Option<Healthcheck>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
    /// Who is the first process. Where nothing is said, the image's program is if it is an init system.
    pub init: Option<Init>,
    /// What happens when the program ends.
    pub restart: Restart,
    /// Whether it has a terminal.
    pub terminal: bool,
}
