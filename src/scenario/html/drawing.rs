//! The topology as SVG.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Text;
use super::layout::{self, Place};
use crate::lab::Lab;
use crate::scenario::survive::graph::Graph;

/// No more nodes are drawn.
const MOST: usize = 200;
/// The size of a node's box, and the room between boxes.
const BOX: (usize, usize) = (84, 26);
const ROOM: (usize, usize) = (18, 64);

/// Draws the topology. What is among `touched`, nodes and `node:interface`, stands out.
pub fn draw(page: &mut String, lab: &Lab, touched: &BTreeSet<String>) {
    let graph = Graph::of(lab);
    if graph.nodes.len() > MOST {
        let _ = writeln!(
            page,
            "<p class=\"dim\">{} nodes, too many for a picture</p>",
            graph.nodes.len()
        );
        return;
    }
    let (places, counts) = layout::place(&graph);
    let widest = counts.iter().copied().max().unwrap_or(1).max(1);
    let (width, height) = (widest * (BOX.0 + ROOM.0), counts.len() * (BOX.1 + ROOM.1));
    let center = |place: &Place| {
        let step = width as f64 / counts[place.row].max(1) as f64;
        let x = step * (place.at as f64 + 0.5);
        let y = (counts.len() - 1 - place.row) * (BOX.1 + ROOM.1) + (BOX.1 + ROOM.1) / 2;
        (x, y as f64)
    };
    let _ = writeln!(
        page,
        "<svg class=\"topology\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"the topology\">"
    );
    for link in &graph.links {
        let [(x1, y1), (x2, y2)] = link.nodes.map(|node| center(&places[node]));
        let is_touched = link.ends.iter().any(|end| touched.contains(&end.to_string()));
        let class = if is_touched { " class=\"touched\"" } else { "" };
        let [a, b] = &link.ends;
        let title = format!("{a} – {b}");
        let _ = writeln!(
            page,
            "<line{class} x1=\"{x1:.0}\" y1=\"{y1:.0}\" x2=\"{x2:.0}\" y2=\"{y2:.0}\"><title>{}</title></line>",
            Text(&title)
        );
    }
    for (node, place) in places.iter().enumerate() {
        let (x, y) = center(place);
        let name = &graph.nodes[node];
        let class = match (touched.contains(name), graph.forwards[node]) {
            (true, _) => "touched",
            (false, true) => "router",
            (false, false) => "host",
        };
        let _ = writeln!(
            page,
            "<g class=\"{class}\"><rect x=\"{:.0}\" y=\"{:.0}\" width=\"{}\" height=\"{}\" rx=\"4\"/>\
             <text x=\"{x:.0}\" y=\"{y:.0}\">{}</text></g>",
            x - BOX.0 as f64 / 2.0,
            y - BOX.1 as f64 / 2.0,
            BOX.0,
            BOX.1,
            Text(name)
        );
    }
    page.push_str("</svg>\n");
}
