//! The AS path of an aggregate (RFC 4271 section 9.2.2.2, appendix F.6).

use crate::wire::{AsPath, Segment};

/// The path of an aggregate: what all paths begin with, and a set of all the others.
pub(super) fn join<'a>(paths: impl Iterator<Item = &'a AsPath>) -> AsPath {
    let mut paths: Vec<&AsPath> = paths.collect();
    paths.sort_by_cached_key(ToString::to_string);
    paths.dedup();
    let Some((first, rest)) = paths.split_first() else {
        return AsPath::default();
    };
    rest.iter()
        .fold((*first).clone(), |sum, path| join_two(&sum, path))
}

fn join_two(a: &AsPath, b: &AsPath) -> AsPath {
    let common = common_sequence(a, b);
    let others = |path: &AsPath| -> Vec<u32> { path.asns().skip(common.len()).collect() };
    let mut set = [others(a), others(b)].concat();
    set.sort_unstable();
    set.dedup();
    let mut joined = AsPath::sequence(common);
    if !set.is_empty() {
        joined.segments.push(Segment::Set(set));
    }
    joined
}

/// What both begin with, as far as that is a sequence.
fn common_sequence(a: &AsPath, b: &AsPath) -> Vec<u32> {
    let (Some(Segment::Sequence(a)), Some(Segment::Sequence(b))) = (a.segments.first(), b.segments.first())
    else {
        return Vec::new();
    };
    let same = a.iter().zip(b).take_while(|(a, b)| a == b);
    same.map(|(asn, _)| *asn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_stays_a_sequence() {
        let joined = |paths: &[&str]| {
            let paths: Vec<AsPath> = paths.iter().map(|path| path.parse().unwrap()).collect();
            join(paths.iter()).to_string()
        };
        assert_eq!(joined(&[]), "");
        assert_eq!(joined(&["1 2", "1 2"]), "1 2");
        assert_eq!(joined(&["1 2 3", "1 2 4", "1 5"]), "1 {2,3,4,5}");
        assert_eq!(joined(&["1 2", ""]), "{1,2}");
        assert_eq!(
            joined(&["65001", "65001 64512 65009", "65001 65003"]),
            "65001 {64512,65003,65009}"
        );
        assert_eq!(joined(&["1 {2,3}", "1 4"]), "1 {2,3,4}");
    }
}
