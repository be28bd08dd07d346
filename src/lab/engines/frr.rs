//! FRR's daemons.

use super::{Traits, USUAL};
use crate::rights::SYS_ADMIN;

pub(super) const TRAITS: Traits = Traits {
    name: "frr",
    about: "FRR's daemons",
    // FRR's daemons end at once without it.
    needs: &[SYS_ADMIN],
    ..USUAL
};
