//! AS numbers for private use (RFC 6996), and paths without them.

use crate::bgp::config::RemovePrivateAs;
use crate::bgp::wire::{AsPath, Segment};

/// Whether an AS number is for private use, as FRR counts: 65535 too.
pub fn is_private(asn: u32) -> bool {
    matches!(asn, 64_512..=65_535 | 4_200_000_000..=4_294_967_294)
}

/// `remove-private-AS`: without `all` only a path in which there is nothing else changes. The neighbour's own number stays,
/// so that it still sees its loops.
pub fn remove_private(path: &AsPath, how: RemovePrivateAs, own: u32, neighbor: u32) -> AsPath {
    let only_private = !path.segments.is_empty() && path.asns().all(is_private);
    match (how.all, how.replace) {
        (false, _) if !only_private => path.clone(),
        (_, true) => {
            let goes = |asn: u32| is_private(asn) && asn != neighbor;
            path.mapped(|asn| if goes(asn) { own } else { asn })
        }
        (_, false) => path.retained(|asn| !is_private(asn) || asn == neighbor),
    }
}

impl AsPath {
    /// The path with other AS numbers in the places of its own.
    pub fn mapped(&self, change: impl Fn(u32) -> u32) -> AsPath {
        self.changed(|asns| asns.iter().copied().map(&change).collect())
    }

    /// The path without the AS numbers for which a condition does not hold.
    pub fn retained(&self, keeps: impl Fn(u32) -> bool) -> AsPath {
        self.changed(|asns| asns.iter().copied().filter(|asn| keeps(*asn)).collect())
    }

    fn changed(&self, change: impl Fn(&[u32]) -> Vec<u32>) -> AsPath {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Sequence(asns) => Segment::Sequence(change(asns)),
            Segment::Set(asns) => Segment::Set(change(asns)),
            Segment::ConfedSequence(asns) => Segment::ConfedSequence(change(asns)),
            Segment::ConfedSet(asns) => Segment::ConfedSet(change(asns)),
        });
        AsPath {
            segments: segments.filter(|segment| !segment.asns().is_empty()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_numbers_go_as_frr_lets_them() {
        let removed = |path: &str, all, replace| {
            let path: AsPath = path.parse().unwrap();
            remove_private(&path, RemovePrivateAs { all, replace }, 100, 65003).to_string()
        };
        assert_eq!(removed("64512 65010", false, false), "");
        assert_eq!(removed("64512 65003", false, false), "65003");
        assert_eq!(removed("64512 3 65010", false, false), "64512 3 65010");
        assert_eq!(removed("64512 3 65003 {64513}", true, false), "3 65003");
        assert_eq!(removed("64512 65003", false, true), "100 65003");
        assert_eq!(removed("64512 3", false, true), "64512 3");
        assert_eq!(removed("64512 3 65010", true, true), "100 3 100");
        assert_eq!(removed("", false, false), "");
    }
}
