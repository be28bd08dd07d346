//! Answers that show a whole table: they are made piece by piece, as fast as they are taken, and take no room meanwhile.

use ipnet::IpNet;

use super::View;
use super::path::Path;
use super::routes::{Shape, Style};
use super::scope::Scope;
use crate::config::Arguments;
use crate::table::PrefixId;
use crate::wire::Family;

/// A piece is about so long, in octets.
const PIECE: usize = 128 * 1024;

/// How an answer begins that may be long.
pub enum Beginning {
    /// It is short.
    Whole(String),
    /// It is made piece by piece.
    Long(Box<Long>),
}

/// Begins an answer.
pub type Begin = fn(&View, &Arguments) -> Beginning;

/// An answer that is not all made. What changes in the table meanwhile is shown as it is when its turn comes.
#[derive(Debug)]
pub struct Long {
    family: Family,
    style: Style,
    /// The prefixes, in order.
    ids: Vec<PrefixId>,
    /// How many of them are done.
    done: usize,
    /// How often the table had taken numbers back when they were put in order: they may mean others since.
    releases: u64,
    /// The last prefix that was shown.
    last: Option<IpNet>,
    shown: usize,
    paths: usize,
    stage: Stage,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Routes,
    Over,
}

/// `show bgp ipv4 unicast`.
pub(super) fn table(view: &View, arguments: &Arguments) -> Beginning {
    let scope = Scope::of(arguments);
    let style = Style {
        whole: true,
        ..Style::of(arguments)
    };
    match scope.refusal_of_routes(view) {
        Some(refusal) => Beginning::Whole(refusal),
        None => Beginning::Long(Box::new(Long::of(view, scope.table(), style))),
    }
}

impl Long {
    fn of(view: &View, family: Family, style: Style) -> Long {
        let mut long = Long {
            family,
            style,
            ids: Vec::new(),
            done: 0,
            releases: 0,
            last: None,
            shown: 0,
            paths: 0,
            stage: Stage::Head,
        };
        long.put_in_order(view);
        long
    }

    /// Whether all of it is made.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// All of it, or what is left.
    pub fn rest(mut self, view: &View) -> String {
        let mut all = String::new();
        while !self.is_over() {
            all += &self.next(view);
        }
        all
    }

    /// The next piece.
    pub fn next(&mut self, view: &View) -> String {
        let shape = Shape {
            family: self.family,
            style: self.style,
        };
        let mut out = String::new();
        if self.stage == Stage::Head {
            self.stage = Stage::Routes;
            if self.ids.is_empty() && !self.style.json {
                self.stage = Stage::Over;
                return shape.nothing();
            }
            out = shape.head(view);
        }
        while self.stage == Stage::Routes && out.len() < PIECE {
            match self.next_prefix(view) {
                Some(id) => self.show(view, shape, id, &mut out),
                None => {
                    out += &shape.tail(view, self.shown, self.paths);
                    self.stage = Stage::Over;
                }
            }
        }
        out
    }

    fn show(&mut self, view: &View, shape: Shape, id: PrefixId, out: &mut String) {
        let table = view.speaker.table(self.family);
        let prefix = table.prefix(id);
        self.last = Some(prefix);
        let Some(destination) = table.at(id) else { return };
        let paths = destination.routes().iter().rev().map(|route| Path {
            prefix,
            family: self.family,
            destination,
            route,
        });
        let paths: Vec<Path> = paths.collect();
        shape.entry(view, prefix, &paths, self.shown == 0, out);
        self.shown += 1;
        self.paths += paths.len();
    }

    fn next_prefix(&mut self, view: &View) -> Option<PrefixId> {
        if self.releases != view.speaker.table(self.family).releases() {
            self.put_in_order(view);
        }
        let next = self.ids.get(self.done).copied();
        self.done += 1;
        next
    }

    /// All prefixes behind the last one that was shown.
    fn put_in_order(&mut self, view: &View) {
        let table = view.speaker.table(self.family);
        self.releases = table.releases();
        self.ids.clear();
        let is_left = |id: &PrefixId| self.last.is_none_or(|last| table.prefix(*id) > last);
        self.ids.extend(table.ids().filter(is_left));
        table.sort(&mut self.ids);
        self.done = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::recorded;
    use crate::speaker::Event;
    use crate::speaker::simulator::published;

    /// Made of pieces, and with the table changing meanwhile.
    #[test]
    fn an_answer_in_pieces_is_the_same_and_shows_each_prefix_once() {
        let mut network = published();
        network.run(10);
        let mut text = network.nodes[0].speaker.config().print();
        let lines = (0..9000).map(|it| format!("  network 20.{}.{}.0/24\n", it / 256, it % 256));
        let lines: String = lines.collect();
        text = text.replacen(
            " address-family ipv4 unicast\n",
            &format!(" no bgp network import-check\n address-family ipv4 unicast\n{lines}"),
            1,
        );
        let (config, diagnostics) = Config::parse(&text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        network.handle_event(0, Event::Configure(Box::new(config)));
        for json in [true, false] {
            let style = Style {
                json,
                wide: false,
                detail: false,
                whole: true,
                among: false,
            };
            let view = recorded::view(&network, 0);
            let whole = super::super::routes::show(&view, Family::Ipv4Unicast, style, |_| true);
            let mut long = Long::of(&view, Family::Ipv4Unicast, style);
            let mut pieces = Vec::new();
            while !long.is_over() {
                pieces.push(long.next(&view));
                // As if numbers had been taken back.
                long.releases = u64::MAX;
            }
            assert!(pieces.len() > 2 && pieces.iter().all(|it| it.len() < PIECE + 4096));
            assert_eq!(pieces.concat(), whole);
        }
    }
}
