//! A client of the API server.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::failure::Failure;

/// The client that a kubeconfig of ours makes; it connects when it is used.
///
/// # Errors
/// There is no such file, or it is damaged.
pub async fn connect(kubeconfig: &str) -> Result<Client, Failure> {
    let damaged = |error: String| Failure::host(format!("cannot use {kubeconfig}: {error}"));
    let file = Kubeconfig::read_from(kubeconfig).map_err(|error| damaged(error.to_string()))?;
    let options = KubeConfigOptions::default();
    let configuration = Config::from_custom_kubeconfig(file, &options).await;
    let configuration = configuration.map_err(|error| damaged(error.to_string()))?;
    Client::try_from(configuration).map_err(|error| damaged(error.to_string()))
}
