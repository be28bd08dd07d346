//! What is known about a prefix.

use smallvec::SmallVec;

use super::Table;
use super::decision::{self, Rules};
use super::reason::{self, Reason};
use super::route::{Route, SourceId};

/// What is known about a prefix. Most have one route: it stands here itself.
#[derive(Debug, Default)]
pub struct Destination {
    /// In the order in which they came; the selection, if there is one, refers to them.
    pub(super) routes: SmallVec<[Route; 1]>,
    /// The best one's source and path identifier, if a mark says that there is one.
    best: (SourceId, u32),
    /// Those that packets are shared among beside it, the better first: mostly none.
    beside: Option<Box<Beside>>,
    /// The lower half of the table's version when the best route changed last; 0 where there never was one.
    version: u32,
    /// What decided for the best route when it was chosen last.
    reason: Option<Reason>,
    marks: Marks,
}

#[derive(Debug)]
struct Beside(Vec<(SourceId, u32)>);

/// What is to be remembered of a prefix meanwhile.
#[derive(Debug, Clone, Copy, Default)]
struct Marks(u8);

/// There is a best route.
const CHOSEN: u8 = 1;
/// The best route says something else since the last decision.
const RENEWED: u8 = 2;
/// It is to be decided about.
const PENDING: u8 = 4;
/// It may have no routes, and its number is to be looked at.
const VACANT: u8 = 8;

impl Marks {
    fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    /// Returns whether it is another than before.
    fn set(&mut self, mark: u8, is: bool) -> bool {
        let before = self.0;
        self.0 = before & !mark | if is { mark } else { 0 };
        self.0 != before
    }
}

/// What became of a route that was put in.
pub(super) enum Put {
    /// It was there already.
    Same,
    /// In the place of another.
    Replaced,
    /// It is another one.
    New,
}

impl Destination {
    /// All routes, in the order in which they came.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The best route.
    pub fn best(&self) -> Option<&Route> {
        self.route(self.best_key()?)
    }

    fn best_key(&self) -> Option<(SourceId, u32)> {
        self.marks.has(CHOSEN).then_some(self.best)
    }

    /// The routes packets are shared among, the best first.
    pub fn multipath(&self) -> impl Iterator<Item = &Route> {
        let beside = self.beside.iter().flat_map(|beside| beside.0.iter().copied());
        let chosen = self.best_key().into_iter().chain(beside);
        chosen.filter_map(|key| self.route(key))
    }

    /// The best route, if it is the only one packets go by.
    pub(crate) fn only(&self) -> Option<&Route> {
        self.best().filter(|_| self.beside.is_none())
    }

    /// What decided for the best route.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The version of its table when the best route changed last; 0 where there never was one.
    pub fn version(&self, table: &Table) -> u64 {
        let behind = (table.version as u32).wrapping_sub(self.version);
        match self.version {
            0 => 0,
            _ => table.version - u64::from(behind),
        }
    }

    /// 0 is none: the one change in four thousand million that has it seems to be a later one.
    pub(super) fn set_version(&mut self, version: u64) {
        self.version = (version as u32).max(1);
    }

    /// The best route of each neighboring AS, of those that can be used; the newest first.
    pub fn best_of_each_as(&self, rules: &Rules) -> Vec<&Route> {
        let best = decision::best_of_each(&self.routes, self.best_key(), rules, false);
        let newest_first = self.routes.iter().rev();
        newest_first
            .filter(|route| best.iter().any(|it| it.key() == route.key()))
            .collect()
    }

    fn route(&self, key: (SourceId, u32)) -> Option<&Route> {
        self.routes.iter().find(|route| route.key() == key)
    }

    /// Puts a route in the place of the one with its key. A source that says the same again changes nothing.
    pub(super) fn put(&mut self, route: Route) -> Put {
        let key = route.key();
        match self.routes.iter_mut().find(|known| known.key() == key) {
            Some(known) if known.says_the_same(&route) => {
                known.set_stale(route.is_stale());
                Put::Same
            }
            Some(known) => {
                *known = route;
                if self.best_key() == Some(key) {
                    self.marks.set(RENEWED, true);
                }
                Put::Replaced
            }
            None => {
                self.routes.push(route);
                Put::New
            }
        }
    }

    /// Chooses anew. Returns whether the best route is another, or says something else.
    pub(super) fn decide(&mut self, rules: &Rules) -> bool {
        self.marks.set(PENDING, false);
        let current = self.best_key();
        let mut best = None;
        match decision::select(&self.routes, current, rules) {
            Some(selection) => {
                best = Some(selection.best);
                self.beside = (!selection.beside.is_empty()).then(|| Box::new(Beside(selection.beside)));
                self.reason = Some(reason::of(&self.routes, current, rules));
            }
            None => (self.beside, self.reason) = (None, None),
        }
        self.marks.set(CHOSEN, best.is_some());
        self.best = best.unwrap_or_default();
        self.marks.set(RENEWED, false) || best != current
    }

    /// There are no routes any more.
    pub(super) fn forget(&mut self) {
        *self = Destination {
            marks: self.marks,
            ..Destination::default()
        };
    }

    /// Returns whether it was not to be decided about before.
    pub(super) fn begin_pending(&mut self) -> bool {
        self.marks.set(PENDING, true)
    }

    pub(super) fn is_pending(&self) -> bool {
        self.marks.has(PENDING)
    }

    /// Returns whether it was not to be looked at before.
    pub(super) fn begin_vacant(&mut self) -> bool {
        self.marks.set(VACANT, true)
    }

    pub(super) fn end_vacant(&mut self) {
        self.marks.set(VACANT, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of a million prefixes has a million of these.
    #[test]
    fn they_are_small() {
        assert_eq!(size_of::<Route>(), 24);
        assert!(size_of::<Destination>() <= 56, "{}", size_of::<Destination>());
    }
}
