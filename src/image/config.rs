//! What an image says of the program in it: the `config` object of the OCI image configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an image says of the program in it. Everything is as written there: users and paths are looked up in the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// More arguments, or the program where there is no entrypoint.
    pub cmd: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// `user`, `user:group`, names or numbers. Empty for root.
    pub user: String,
    /// Where it starts. Empty for `/`.
    pub workdir: String,
    /// What asks it whether it is well.
    pub healthcheck: Option<Healthcheck>,
    /// The signal that ends it, such as `SIGTERM` or `37`.
    pub stop_signal: Option<String>,
    /// Directories whose content is not of the image.
    pub volumes: Vec<String>,
    /// Ports it serves, such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What asks a program whether it is well. Zero durations and retries stand for Docker's own: 30 s, 30 s, 0 s, 3.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// The command; none where the image turns off that of an image below it (`NONE`).
    pub test: Option<Test>,
    /// From one to the next.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// In this time failures do not count.
    pub start_period: Duration,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
}

/// The command of a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    /// Program and arguments (`CMD`).
    Argv(Vec<String>),
    /// A line for the image's shell (`CMD-SHELL`).
    Shell(String),
}
