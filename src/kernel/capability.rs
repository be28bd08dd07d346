//! What a process may do as root (capabilities(7)).

use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;

use super::error::{Error, Result};

/// A set of capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities(CapsHashSet);

impl Capabilities {
    /// The set of these names, without their `CAP_`. Names that this program does not know are left out.
    pub fn named(names: &[String]) -> Capabilities {
        let parsed = names.iter().filter_map(|name| format!("CAP_{name}").parse().ok());
        Capabilities(parsed.collect())
    }

    /// These and others.
    pub fn with(&self, others: &Capabilities) -> Capabilities {
        Capabilities(self.0.union(&others.0).copied().collect())
    }

    /// Whether it is one of them.
    pub fn contains(&self, capability: Capability) -> bool {
        self.0.contains(&capability)
    }

    /// Takes all others out of what this thread and everything it executes can ever have again. What it may do itself
    /// changes with the next program it executes, or with [`Capabilities::keep`].
    ///
    /// # Errors
    /// Not permitted.
    pub fn bound(&self) -> Result<()> {
        for capability in caps::all() {
            if self.0.contains(&capability) {
                continue;
            }
            let dropped = caps::drop(None, CapSet::Bounding, capability);
            // Nobody has one that this kernel does not know; there it is not in the set, whatever is said.
            if dropped.is_err() && caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false) {
                return Err(refused(capability));
            }
        }
        Ok(())
    }

    /// Takes all others from this thread now.
    ///
    /// # Errors
    /// Not permitted.
    pub fn keep(&self) -> Result<()> {
        let have = caps::read(None, CapSet::Permitted).map_err(|_| unreadable())?;
        let kept: CapsHashSet = have.intersection(&self.0).copied().collect();
        for set in [CapSet::Effective, CapSet::Permitted] {
            caps::set(None, set, &kept).map_err(|_| unreadable())?;
        }
        caps::clear(None, CapSet::Inheritable).map_err(|_| unreadable())
    }
}

/// Whether this thread has what nslab needs of root: it may make namespaces and networks. Root in a container often has not.
pub fn has_roots() -> bool {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    has(Capability::CAP_SYS_ADMIN) && has(Capability::CAP_NET_ADMIN)
}

fn refused(capability: Capability) -> Error {
    Error::new(format!("give up {capability}"), Errno::last())
}

fn unreadable() -> Error {
    Error::new("give up capabilities", Errno::last())
}
