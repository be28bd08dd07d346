//! Where the nodes of a topology stand in a picture: in rows, hosts at the bottom. Pure.

use crate::scenario::survive::graph::Graph;

/// Where a node stands: its row from the bottom, and its place in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The row, from the bottom.
    pub row: usize,
    /// The place, from the left.
    pub at: usize,
}

/// The places of all nodes of a graph, and how many there are in each row.
pub fn place(graph: &Graph) -> (Vec<Place>, Vec<usize>) {
    let rows = rows(graph);
    let count = rows.iter().max().map_or(0, |row| row + 1);
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (node, row) in rows.iter().enumerate() {
        order[*row].push(node);
    }
    let mut position = vec![0.0f64; graph.nodes.len()];
    spread(&order, &mut position);
    // Each node moves below and above its neighbors; a few rounds are enough for a picture.
    for _ in 0..4 {
        for row in &mut order {
            let mean = |node: usize| {
                let neighbors: Vec<f64> = neighbors(graph, node)
                    .filter(|other| rows[*other] != rows[node])
                    .map(|other| position[other])
                    .collect();
                match neighbors.is_empty() {
                    true => position[node],
                    false => neighbors.iter().sum::<f64>() / neighbors.len() as f64,
                }
            };
            let mut sorted: Vec<(f64, usize)> = row.iter().map(|node| (mean(*node), *node)).collect();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            *row = sorted.into_iter().map(|(_, node)| node).collect();
        }
        spread(&order, &mut position);
    }
    let mut places = vec![Place { row: 0, at: 0 }; graph.nodes.len()];
    for (row, nodes) in order.iter().enumerate() {
        for (at, node) in nodes.iter().enumerate() {
            places[*node] = Place { row, at };
        }
    }
    (places, order.iter().map(Vec::len).collect())
}

fn spread(order: &[Vec<usize>], position: &mut [f64]) {
    for row in order {
        for (at, node) in row.iter().enumerate() {
            position[*node] = (at as f64 + 0.5) / row.len() as f64;
        }
    }
}

fn neighbors(graph: &Graph, node: usize) -> impl Iterator<Item = usize> + '_ {
    graph.links.iter().filter_map(move |link| match link.nodes {
        [a, b] if a == node => Some(b),
        [a, b] if b == node => Some(a),
        _ => None,
    })
}

/// The row of each node: how far it is from the nearest that does not forward; where all do, from those with the fewest links.
fn rows(graph: &Graph) -> Vec<usize> {
    let degree = |node: usize| neighbors(graph, node).count();
    let mut first: Vec<usize> = (0..graph.nodes.len())
        .filter(|node| !graph.forwards[*node])
        .collect();
    if first.is_empty() {
        let fewest = (0..graph.nodes.len())
            .map(degree)
            .filter(|degree| *degree > 0)
            .min();
        first = (0..graph.nodes.len())
            .filter(|node| fewest.is_none_or(|fewest| degree(*node) <= fewest))
            .collect();
    }
    let mut rows = vec![usize::MAX; graph.nodes.len()];
    for node in &first {
        rows[*node] = 0;
    }
    let mut waiting = std::collections::VecDeque::from(first);
    while let Some(node) = waiting.pop_front() {
        for other in neighbors(graph, node) {
            if rows[other] == usize::MAX {
                rows[other] = rows[node] + 1;
                waiting.push_back(other);
            }
        }
    }
    // What is connected with none of them stands at the bottom.
    rows.into_iter()
        .map(|row| if row == usize::MAX { 0 } else { row })
        .collect()
}
