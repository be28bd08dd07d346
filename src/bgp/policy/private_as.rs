//! AS numbers for private use (RFC 6996), and paths without them.

use crate::config::RemovePrivateAs;
use crate::wire::AsPath;

/// Whether an AS number is for private use, as FRR counts: 65535 too.
pub fn is_private(asn: u32) -> bool {
    matches!(asn, 64_512..=65_535 | 4_200_000_000..=4_294_967_294)
}

/// `remove-private-AS`: without `all` only a path in which there is nothing else changes. The neighbor's own number stays,
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
