//! Which sets of failures there are, and in which order they are tried. Pure.

use super::graph::Failed;

/// No more sets are put into an order of their own.
pub const MOST: u64 = 4_000_000;

/// How many things may fail at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Links.
    pub links: usize,
    /// Nodes.
    pub nodes: usize,
}

/// All sets of up to so many links and nodes, the smallest first.
#[derive(Debug, Clone)]
pub struct Sets {
    links: Vec<usize>,
    nodes: Vec<usize>,
    /// The sizes of sets, and how many there are of each.
    sizes: Vec<(usize, usize, u64)>,
}

impl std::str::FromStr for Wanted {
    type Err = String;

    /// Reads `links=1`, `nodes=1`, or both with a comma.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut wanted = Wanted::default();
        for part in text.split(',') {
            let (what, count) = part.split_once('=').ok_or_else(|| wrong(part))?;
            let count: usize = count.trim().parse().map_err(|_| wrong(part))?;
            if count > 8 {
                return Err(format!("{count} at once are too many: eight at most"));
            }
            match what.trim() {
                "links" => wanted.links = count,
                "nodes" => wanted.nodes = count,
                _ => return Err(wrong(part)),
            }
        }
        match wanted.links + wanted.nodes {
            0 => Err("nothing is to fail: say `links=1`".to_owned()),
            _ => Ok(wanted),
        }
    }
}

fn wrong(part: &str) -> String {
    format!("`{part}` is not what may fail: say `links=1`, `nodes=1`, or `links=2,nodes=1`")
}

impl Sets {
    /// Those of these links and nodes.
    pub fn new(links: Vec<usize>, nodes: Vec<usize>, wanted: Wanted) -> Sets {
        let mut sizes = Vec::new();
        for of_links in 0..=wanted.links.min(links.len()) {
            for of_nodes in 0..=wanted.nodes.min(nodes.len()) {
                let count = choose(links.len() as u64, of_links as u64)
                    .saturating_mul(choose(nodes.len() as u64, of_nodes as u64));
                if of_links + of_nodes > 0 {
                    sizes.push((of_links, of_nodes, count));
                }
            }
        }
        sizes.sort_by_key(|(links, nodes, _)| (links + nodes, *nodes));
        Sets { links, nodes, sizes }
    }

    /// Only this one.
    pub fn of(only: Failed) -> Sets {
        let sizes = vec![(only.links.len(), only.nodes.len(), 1)];
        Sets {
            links: only.links,
            nodes: only.nodes,
            sizes,
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.sizes.iter().fold(0, |sum, size| sum.saturating_add(size.2))
    }

    /// The set of this number.
    pub fn get(&self, number: u64) -> Option<Failed> {
        let mut rest = number;
        for (of_links, of_nodes, count) in &self.sizes {
            if rest >= *count {
                rest -= count;
                continue;
            }
            let of_node_sets = choose(self.nodes.len() as u64, *of_nodes as u64);
            let pick = |from: &[usize], size: usize, rank: u64| -> Vec<usize> {
                let picked = combination(from.len() as u64, size as u64, rank);
                picked.into_iter().map(|at| from[at as usize]).collect()
            };
            return Some(Failed {
                links: pick(&self.links, *of_links, rest / of_node_sets),
                nodes: pick(&self.nodes, *of_nodes, rest % of_node_sets),
            });
        }
        None
    }

    /// The numbers of all sets: the smallest sets first, or in an order that follows from a seed.
    pub fn order(&self, seed: Option<u64>) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.count().min(MOST) as u32).collect();
        if let Some(seed) = seed {
            let mut random = Random(seed);
            for at in (1..order.len()).rev() {
                let other = (random.next() % (at as u64 + 1)) as usize;
                order.swap(at, other);
            }
        }
        order
    }
}

/// How many ways there are to choose `k` of `n`.
fn choose(n: u64, k: u64) -> u64 {
    if k > n {
        return 0;
    }
    (0..k).fold(1u128, |ways, at| {
        (ways * u128::from(n - at) / u128::from(at + 1)).min(u128::from(u64::MAX))
    }) as u64
}

/// The combination of this rank, in lexicographic order, of `k` of the numbers below `n`.
fn combination(n: u64, k: u64, mut rank: u64) -> Vec<u64> {
    let mut picked = Vec::new();
    let mut at = 0;
    while (picked.len() as u64) < k && at < n {
        let with = choose(n - at - 1, k - picked.len() as u64 - 1);
        if rank < with {
            picked.push(at);
        } else {
            rank -= with;
        }
        at += 1;
    }
    picked
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same seed gives the same order everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_set_is_there_once() {
        for (links, nodes, wanted, count) in [
            (12, 0, "links=1", 12),
            (5, 3, "links=2", 15),
            (4, 3, "links=1,nodes=1", 4 + 3 + 12),
            (4, 3, "links=2,nodes=2", 4 + 3 + 6 + 12 + 3 + 18 + 12 + 18),
            (1, 0, "links=3", 1),
        ] {
            let sets = Sets::new(
                (0..links).collect(),
                (0..nodes).collect(),
                wanted.parse().unwrap(),
            );
            assert_eq!(sets.count(), count, "{wanted}");
            for seed in [None, Some(7)] {
                let all: BTreeSet<Failed> = sets
                    .order(seed)
                    .into_iter()
                    .map(|at| sets.get(u64::from(at)).unwrap())
                    .collect();
                assert_eq!(all.len() as u64, count, "{wanted} {seed:?}");
            }
            assert_eq!(sets.get(count), None);
        }
    }

    #[test]
    fn small_sets_come_first() {
        let sets = Sets::new(
            (0..6).collect(),
            (0..4).collect(),
            "links=2,nodes=1".parse().unwrap(),
        );
        let sizes: Vec<usize> = sets
            .order(None)
            .into_iter()
            .map(|at| sets.get(u64::from(at)).unwrap())
            .map(|failed| failed.links.len() + failed.nodes.len())
            .collect();
        assert!(sizes.is_sorted(), "{sizes:?}");
    }

    #[test]
    fn what_may_fail_is_read() {
        assert_eq!("nodes=1,links=2".parse(), Ok(Wanted { links: 2, nodes: 1 }));
        for wrong in [
            "", "links", "links=x", "cables=1", "links=0", "links=9", "links=-1",
        ] {
            assert!(wrong.parse::<Wanted>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn great_numbers_do_not_overflow() {
        let sets = Sets::new(
            (0..5000).collect(),
            (0..1000).collect(),
            "links=8,nodes=8".parse().unwrap(),
        );
        assert_eq!(sets.count(), u64::MAX);
        assert!(sets.get(u64::MAX - 1).is_some());
    }
}
