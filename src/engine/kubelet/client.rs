//! A client of the API server.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::failure::Failure;

/// The client that a kubeconfig of ours makes; it connects when it is used.
///
/// # Errors
/// There is no such file, or it is damaged.
pub async fn connect(kubeconfig: &str) -> Result<Client, Failure> {
    let configuration = configuration(kubeconfig).await?;
    Client::try_from(configuration).map_err(|error| damaged(kubeconfig, error))
}

async fn configuration(kubeconfig: &str) -> Result<Config, Failure> {
    let file = Kubeconfig::read_from(kubeconfig).map_err(|error| damaged(kubeconfig, error))?;
    let configuration = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    configuration.map_err(|error| damaged(kubeconfig, error))
}

fn damaged(kubeconfig: &str, why: impl std::fmt::Display) -> Failure {
    Failure::host(format!("cannot use {kubeconfig}: {why}"))
}
