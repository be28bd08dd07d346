//! What is known about a prefix.

use smallvec::SmallVec;

use super::decision::{self, Rules};
use super::reason::{self, Reason};
use super::route::{Route, SourceId};

/// What is known about a prefix. Most have one route: it stands here itself.
#[derive(Debug, Default)]
pub struct Destination {
    /// In the order in which they came; the selection, if there is one, refers to them.
    pub(super) routes: SmallVec<[Route; 1]>,
    /// The best one's source and path identifier, if there is one.
    best: Key,
    /// Those that packets are shared among beside it, the better first: mostly none.
    beside: Option<Box<Beside>>,
    /// The table's version when the best route changed last; 0 where there never was one.
    version: u64,
    /// What decided for the best route when it was chosen last.
    reason: Option<Reason>,
    marks: Marks,
}

/// A route's source and path identifier.
type Key = Option<(SourceId, u32)>;

#[derive(Debug)]
struct Beside(Vec<(SourceId, u32)>);

/// What is to be remembered of a prefix meanwhile.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    /// The best route says something else since the last decision.
    renewed: bool,
    /// It is to be decided about.
    pending: bool,
    /// It may have no routes, and its number is to be looked at.
    vacant: bool,
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
        self.route(self.best?)
    }

    /// The routes packets are shared among, the best first.
    pub fn multipath(&self) -> impl Iterator<Item = &Route> {
        let beside = self.beside.iter().flat_map(|beside| beside.0.iter().copied());
        let chosen = self.best.into_iter().chain(beside);
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

    /// The table's version when the best route changed last; 0 where there never was one.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn set_version(&mut self, version: u64) {
        self.version = version;
    }

    /// The best route of each neighboring AS, of those that can be used; the newest first.
    pub fn best_of_each_as(&self, rules: &Rules) -> Vec<&Route> {
        let best = decision::best_of_each(&self.routes, self.best, rules, false);
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
                self.marks.renewed |= self.best == Some(key);
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
        self.marks.pending = false;
        let current = self.best;
        match decision::select(&self.routes, current, rules) {
            Some(selection) => {
                self.best = Some(selection.best);
                self.beside = (!selection.beside.is_empty()).then(|| Box::new(Beside(selection.beside)));
                self.reason = Some(reason::of(&self.routes, current, rules));
            }
            None => (self.best, self.beside, self.reason) = (None, None, None),
        }
        std::mem::take(&mut self.marks.renewed) || self.best != current
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
        !std::mem::replace(&mut self.marks.pending, true)
    }

    pub(super) fn is_pending(&self) -> bool {
        self.marks.pending
    }

    /// Returns whether it was not to be looked at before.
    pub(super) fn begin_vacant(&mut self) -> bool {
        !std::mem::replace(&mut self.marks.vacant, true)
    }

    pub(super) fn end_vacant(&mut self) {
        self.marks.vacant = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of a million prefixes has a million of these.
    #[test]
    fn they_are_small() {
        assert_eq!(size_of::<Route>(), 24);
        assert!(size_of::<Destination>() <= 64, "{}", size_of::<Destination>());
    }
}
