//! What is known about a prefix.

use super::Table;
use super::decision::{self, Rules};
use super::reason::{self, Reason};
use super::route::{Route, SourceId};

/// What is known about a prefix. Most have one route: it stands here itself.
#[derive(Debug, Default)]
pub struct Destination {
    /// The only route.
    only: Option<Route>,
    /// All routes where there are, or were at the last decision, more than one.
    several: Option<Box<Several>>,
    /// The lower half of the table's version when the best route changed last; 0 where there never was one.
    version: u32,
    /// What decided for the best route when it was chosen last.
    reason: Option<Reason>,
    marks: Marks,
}

/// Routes of which one had to be chosen.
#[derive(Debug)]
struct Several {
    /// In the order in which they came; the selection, if there is one, refers to them.
    routes: Vec<Route>,
    /// The best one's source and path identifier, if a mark says that there is one.
    best: (SourceId, u32),
    /// Those that packets are shared among beside it, the better first.
    beside: Vec<(SourceId, u32)>,
}

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
        match &self.several {
            Some(several) => &several.routes,
            None => self.only.as_slice(),
        }
    }

    pub(super) fn routes_mut(&mut self) -> &mut [Route] {
        match &mut self.several {
            Some(several) => &mut several.routes,
            None => self.only.as_mut_slice(),
        }
    }

    /// Whether there are no routes.
    pub(super) fn is_empty(&self) -> bool {
        self.routes().is_empty()
    }

    /// The best route.
    pub fn best(&self) -> Option<&Route> {
        self.route(self.best_key()?)
    }

    fn best_key(&self) -> Option<(SourceId, u32)> {
        if !self.marks.has(CHOSEN) {
            return None;
        }
        match &self.several {
            Some(several) => Some(several.best),
            None => self.only.as_ref().map(Route::key),
        }
    }

    fn beside(&self) -> &[(SourceId, u32)] {
        self.several.as_ref().map_or(&[], |several| &several.beside)
    }

    /// The routes packets are shared among, the best first.
    pub fn multipath(&self) -> impl Iterator<Item = &Route> {
        let beside = self.beside().iter().copied();
        let chosen = self.best_key().into_iter().chain(beside);
        chosen.filter_map(|key| self.route(key))
    }

    /// The best route, if it is the only one packets go by.
    pub(crate) fn only(&self) -> Option<&Route> {
        self.best().filter(|_| self.beside().is_empty())
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
        let best = decision::best_of_each(self.routes(), self.best_key(), rules, false);
        let newest_first = self.routes().iter().rev();
        newest_first
            .filter(|route| best.iter().any(|it| it.key() == route.key()))
            .collect()
    }

    fn route(&self, key: (SourceId, u32)) -> Option<&Route> {
        self.routes().iter().find(|route| route.key() == key)
    }

    /// Puts a route in the place of the one with its key. A source that says the same again changes nothing.
    pub(super) fn put(&mut self, route: Route) -> Put {
        let key = route.key();
        match self.routes_mut().iter_mut().find(|known| known.key() == key) {
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
                self.push(route);
                Put::New
            }
        }
    }

    fn push(&mut self, route: Route) {
        if let Some(several) = &mut self.several {
            several.routes.push(route);
        } else if let Some(first) = self.only.take() {
            self.several = Some(Box::new(Several {
                best: first.key(),
                routes: vec![first, route],
                beside: Vec::new(),
            }));
        } else {
            self.only = Some(route);
        }
    }

    /// Keeps only routes that a condition holds for. If the best is not among them, there is none until the next decision.
    pub(super) fn retain(&mut self, keeps: impl FnMut(&Route) -> bool) {
        let best = self.best_key();
        match &mut self.several {
            Some(several) => several.routes.retain(keeps),
            None => self.only = self.only.take().filter(keeps),
        }
        if best.is_some_and(|best| self.route(best).is_none()) {
            self.marks.set(CHOSEN, false);
            self.marks.set(RENEWED, true);
        }
    }

    /// Chooses anew. Returns whether the best route is another, or says something else.
    pub(super) fn decide(&mut self, rules: &Rules) -> bool {
        self.marks.set(PENDING, false);
        let current = self.best_key();
        let selection = decision::select(self.routes(), current, rules);
        let best = selection.as_ref().map(|selection| selection.best);
        self.reason = best.map(|_| reason::of(self.routes(), current, rules));
        self.marks.set(CHOSEN, best.is_some());
        if let Some(several) = &mut self.several {
            let selection = selection.map(|selection| (selection.best, selection.beside));
            (several.best, several.beside) = selection.unwrap_or_default();
            if several.routes.len() < 2 {
                self.only = several.routes.pop();
                self.several = None;
            }
        }
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
        assert!(size_of::<Destination>() <= 40, "{}", size_of::<Destination>());
    }
}
