//! Everything about a route: `show bgp ipv4 unicast PREFIX`, and tables with `detail`.

use super::View;
use super::json::Json;
use super::path::Path;

/// A prefix of a table with `json detail`: what holds for the prefix, then its routes.
pub(super) fn entry(_view: &View, _paths: &[Path]) -> Vec<Json> {
    Vec::new()
}

impl<'s> Path<'s> {
    /// The lines of a route.
    pub(super) fn detail(&self, _view: &View<'s>) -> String {
        String::new()
    }
}
