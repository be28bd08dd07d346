//! Route-maps.

use super::conditions;
use super::subject::{Context, Subject};
use super::{Policy, changes};
use crate::config::{Action, OnMatch, RouteMap, RouteMapEntry};

/// How deep `call` may go (FRR's limit).
const DEEPEST_CALL: usize = 10;

/// What a route-map says about a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes, changed as the subject is now.
    Permit,
    /// It does not pass.
    Deny,
}

impl Policy {
    /// Lets a route pass through a route-map. One that does not exist denies everything.
    pub fn apply(&self, name: &str, subject: &mut Subject, context: &Context) -> Verdict {
        match self.route_maps.get(name) {
            Some(map) => self.walk(map, None, subject, context, 0),
            None => Verdict::Deny,
        }
    }

    /// The same where conditions are about one route and changes are made on another (`default-originate route-map`).
    pub fn apply_beside(
        &self,
        name: &str,
        seen: &Subject,
        subject: &mut Subject,
        context: &Context,
    ) -> Verdict {
        match self.route_maps.get(name) {
            Some(map) => self.walk(map, Some(seen), subject, context, 0),
            None => Verdict::Deny,
        }
    }

    /// Whether a route-map lets a route pass that is not to be changed.
    pub fn permits(&self, name: &str, subject: &Subject, context: &Context) -> bool {
        self.apply(name, &mut subject.clone(), context) == Verdict::Permit
    }

    /// The last entry that was looked at decides: one that does not match denies, even where an entry before it matched
    /// and went on (FRR). Changes are made at once, and later conditions see them.
    fn walk(
        &self,
        map: &RouteMap,
        seen: Option<&Subject>,
        subject: &mut Subject,
        context: &Context,
        depth: usize,
    ) -> Verdict {
        let mut verdict = Verdict::Deny;
        let mut from = 0;
        for (sequence, entry) in map {
            if *sequence < from {
                continue;
            }
            if !self.matches(entry, seen.unwrap_or(subject), context) {
                verdict = Verdict::Deny;
                continue;
            }
            if entry.action == Action::Deny {
                return Verdict::Deny;
            }
            verdict = Verdict::Permit;
            for set in &entry.sets {
                changes::apply(self, set, subject, context);
            }
            if let Some(name) = &entry.call
                && self.call(name, seen, subject, context, depth) == Verdict::Deny
            {
                return Verdict::Deny;
            }
            match entry.on_match {
                None => return verdict,
                Some(OnMatch::Next) => {}
                Some(OnMatch::Goto(to)) => from = to,
            }
        }
        verdict
    }

    /// A map that is called and does not exist changes nothing.
    fn call(
        &self,
        name: &str,
        seen: Option<&Subject>,
        subject: &mut Subject,
        context: &Context,
        depth: usize,
    ) -> Verdict {
        match self.route_maps.get(name) {
            _ if depth >= DEEPEST_CALL => Verdict::Deny,
            Some(map) => self.walk(map, seen, subject, context, depth + 1),
            None => Verdict::Permit,
        }
    }

    fn matches(&self, entry: &RouteMapEntry, subject: &Subject, context: &Context) -> bool {
        let mut conditions = entry.matches.iter();
        conditions.all(|condition| conditions::holds(self, condition, subject, context))
    }
}
