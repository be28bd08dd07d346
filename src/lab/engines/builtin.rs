//! nslab's own speaker, and Kubernetes nodes without a Kubernetes.

use super::{Traits, USUAL};
use crate::model::Kind;

pub(super) const TRAITS: Traits = Traits {
    name: "builtin",
    about: "nslab's own speaker, and Kubernetes nodes without a Kubernetes",
    plays: &[Kind::Router, Kind::K8s],
    stands_in: true,
    is_in_images: false,
    may_lose_lines: true,
    ..USUAL
};
