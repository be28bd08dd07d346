//! The kernel's neighbor tables, one a family for all network namespaces (net/core/neighbor.c): a lab of hundreds of
//! routers fills them, and from then on nobody finds anybody ("neighbor table overflow").

use crate::kernel::sysctl;
use crate::lab::plan::Plan;

/// Entries an interface may need: its neighbor's address, and the multicast groups it speaks to.
const EACH: u32 = 4;
/// A lab that needs fewer is not worth a note: the tables hold 1,024 unless they were told otherwise.
const FEW: u32 = 256;
const FAMILIES: [&str; 2] = ["ipv4", "ipv6"];
/// What is kept whatever happens, and what is never exceeded.
const LIMITS: [&str; 2] = ["gc_thresh2", "gc_thresh3"];

/// The entries a lab needs in each table; none if they are few.
pub fn needed(plan: &Plan) -> u32 {
    let interfaces: usize = plan
        .namespaces
        .iter()
        .map(|namespace| namespace.up.len().saturating_sub(1))
        .sum();
    let entries = u32::try_from(interfaces).unwrap_or(u32::MAX).saturating_mul(EACH);
    if entries < FEW { 0 } else { entries }
}

/// The limits that this network namespace shows. Only the host's first one does.
pub fn limits() -> Vec<String> {
    all().filter(|path| sysctl::read(path).is_ok()).collect()
}

fn all() -> impl Iterator<Item = String> {
    FAMILIES
        .iter()
        .flat_map(|family| LIMITS.map(|limit| format!("net/{family}/neigh/default/{limit}")))
}

/// Whether a sysctl is one of the limits.
pub fn is_limit(path: &str) -> bool {
    all().any(|limit| limit == path)
}

/// A limit that leaves to the host what it had and gives the labs what they need.
pub fn raised(before: &str, wanted: u32) -> String {
    match before.parse::<u32>() {
        // The kernel takes an int.
        Ok(limit) => limit
            .saturating_add(wanted)
            .min(i32::MAX.unsigned_abs())
            .to_string(),
        Err(_) => before.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_by_what_labs_need() {
        assert_eq!(raised("1024", 2368), "3392");
        assert_eq!(raised("2147483647", 5), "2147483647");
        assert_eq!(raised("nonsense", 5), "nonsense");
    }
}
