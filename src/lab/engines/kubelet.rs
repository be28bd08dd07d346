//! A kubelet, and on the first node what a cluster is made of.

use std::time::Duration;

use super::{Traits, USUAL};
use crate::model::Kind;

pub(super) const TRAITS: Traits = Traits {
    name: "kubelet",
    about: "Kubelets and a control plane in Kubernetes nodes",
    plays: &[Kind::K8s],
    is_machine: true,
    is_kubernetes: true,
    needs_root: Some("runs a kubelet"),
    starts: "containerd",
    // Its own reason, and what its node says of itself.
    telling: &["ready", "kubelet"],
    // The first process of each container ignores the signal unless it says otherwise (pid_namespaces(7)), so that most never
    // end by themselves, and nothing on such a node outlives the lab.
    grace: Duration::from_millis(500),
    ..USUAL
};
