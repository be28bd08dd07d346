//! What the plugin is told: the network's configuration, and in the environment whom it is about.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use super::answer::{Fault, Result, VERSIONS};
use crate::lab::pod_cidr::machine;

/// A configuration is no longer than this.
pub const LONGEST: u64 = 1 << 20;
/// Where attachments are kept unless the configuration says otherwise.
pub const DIRECTORY: &str = "/run/nslab-cni";
/// Container identifiers as the specification has them are no longer than file names.
const LONGEST_CONTAINER: usize = 200;

/// A network's configuration.
#[derive(Debug, Deserialize)]
pub struct Configuration {
    /// The version of the specification it is in.
    #[serde(rename = "cniVersion", default)]
    pub version: String,
    /// The node's networks of pods; the first address of each is the node's own.
    #[serde(rename = "podCIDRs")]
    pub networks: Vec<IpNet>,
    /// Pods that have an address of their own choosing, by `namespace/name`.
    #[serde(default)]
    pub reserved: BTreeMap<String, Vec<IpNet>>,
    /// Where attachments are kept.
    #[serde(rename = "dataDir", default = "directory")]
    pub directory: PathBuf,
    #[serde(rename = "cni.dev/valid-attachments", default)]
    valid: Vec<Valid>,
}

#[derive(Debug, Deserialize)]
struct Valid {
    #[serde(rename = "containerID")]
    container: String,
    #[serde(rename = "ifname")]
    interface: String,
}

fn directory() -> PathBuf {
    DIRECTORY.into()
}

/// The version that an input is in, as far as that can be told; answers are in it.
pub fn version(input: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(input).unwrap_or_default();
    value["cniVersion"].as_str().unwrap_or("1.0.0").to_owned()
}

impl Configuration {
    /// Reads it.
    ///
    /// # Errors
    /// It is no JSON, lacks something, or is in a version that is not spoken.
    pub fn read(input: &[u8]) -> Result<Configuration> {
        let version = version(input);
        if !VERSIONS.contains(&version.as_str()) {
            let known = VERSIONS.join(", ");
            return Err(Fault::version(format!(
                "version {version} is not spoken here; {known} are"
            )));
        }
        let read: std::result::Result<Configuration, _> = serde_json::from_slice(input);
        let mut configuration = read.map_err(|error| match error.is_data() {
            true => Fault::configuration(error.to_string()),
            false => Fault::decoding(error.to_string()),
        })?;
        configuration.version = version;
        if configuration.networks.is_empty() {
            return Err(Fault::configuration(
                "`podCIDRs` is empty: there are no addresses for pods",
            ));
        }
        Ok(configuration)
    }

    /// The node's own address in each of the networks, alone.
    pub fn gateways(&self) -> impl Iterator<Item = IpNet> {
        self.networks.iter().filter_map(|net| machine(net, 1))
    }

    /// The one that a pod's address is behind.
    pub fn gateway_for(&self, address: &IpNet) -> Option<IpNet> {
        self.gateways()
            .find(|it| it.addr().is_ipv4() == address.addr().is_ipv4())
    }

    /// Whether an attachment is said to be in use (GC).
    pub fn in_use(&self, attachment: &Attachment) -> bool {
        let mut valid = self.valid.iter();
        valid.any(|it| it.container == attachment.container && it.interface == attachment.interface)
    }
}

/// A container's interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The container.
    pub container: String,
    /// The interface in it.
    pub interface: String,
    /// The path of its network namespace; it may be gone when the attachment is to go.
    pub namespace: PathBuf,
    /// The pod, `namespace/name`, where Kubernetes is behind it.
    pub pod: Option<String>,
}

impl Attachment {
    /// The one that the environment is about.
    ///
    /// # Errors
    /// A variable is missing, or would lead out of the directory.
    pub fn of_environment(with_namespace: bool) -> Result<Attachment> {
        let get = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let want = |name: &str| get(name).ok_or_else(|| Fault::environment(format!("{name} is not set")));
        let container = want("CNI_CONTAINERID")?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let starts_well = container.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || !container.chars().all(legal) || container.len() > LONGEST_CONTAINER {
            return Err(Fault::environment("CNI_CONTAINERID is no identifier"));
        }
        let interface = want("CNI_IFNAME")?;
        if crate::lab::file::values::interface(&interface).is_err() {
            return Err(Fault::environment("CNI_IFNAME is no name of an interface"));
        }
        let namespace = match with_namespace {
            true => want("CNI_NETNS")?,
            false => get("CNI_NETNS").unwrap_or_default(),
        };
        let arguments = get("CNI_ARGS").unwrap_or_default();
        let argument = |name: &str| {
            let mut pairs = arguments.split(';').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        };
        let pod = argument("K8S_POD_NAMESPACE").zip(argument("K8S_POD_NAME"));
        Ok(Attachment {
            container,
            interface,
            namespace: namespace.into(),
            pod: pod.map(|(namespace, name)| format!("{namespace}/{name}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_configuration_is_told() {
        let read = |text: &str| Configuration::read(text.as_bytes());
        assert!(read(r#"{"cniVersion":"1.0.0","podCIDRs":["10.1.0.0/24"]}"#).is_ok());
        for text in [
            "",
            "[]",
            r#"{"cniVersion":"9.9.9","podCIDRs":["10.1.0.0/24"]}"#,
            r#"{"cniVersion":"1.0.0"}"#,
            r#"{"cniVersion":"1.0.0","podCIDRs":[]}"#,
            r#"{"cniVersion":"1.0.0","podCIDRs":["x"]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
