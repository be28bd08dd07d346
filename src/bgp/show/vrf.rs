//! Views of VRFs: the same answers of the speaker within.

use super::{Show, View};
use crate::config::Arguments;

/// The kernel's number of the main table (rtnetlink(7)).
const MAIN: u32 = 254;

impl<'s> View<'s> {
    /// A VRF of the router.
    pub(super) fn within(&self, name: &str) -> Option<View<'s>> {
        Some(View {
            speaker: self.speaker.vrf(name)?,
            outer: Some(self.speaker),
            ..*self
        })
    }

    /// The VRF that a command names, else the router itself.
    pub(crate) fn of(&self, arguments: &Arguments) -> View<'s> {
        let name = arguments.get("instance").or_else(|| arguments.get("vrf_name"));
        name.and_then(|name| self.within(name)).unwrap_or(*self)
    }

    /// The VRF's name.
    pub(super) fn vrf_name(&self) -> &'s str {
        self.speaker.vrf_name().unwrap_or("default")
    }

    /// The VRF's number: its device's. None while it has no device.
    pub(super) fn vrf_id(&self) -> Option<u32> {
        match self.outer {
            None => Some(0),
            Some(outer) => outer.vrf_device(self.vrf_name()).map(|device| device.index),
        }
    }

    /// The kernel's table that routes are in.
    pub(super) fn table(&self) -> u32 {
        let device = self.outer.and_then(|outer| outer.vrf_device(self.vrf_name()));
        device.map_or(MAIN, |device| device.table)
    }
}

/// An answer about the VRF that a command names, or about all of them one after the other.
pub(crate) fn answer(show: Show, view: &View, arguments: &Arguments) -> String {
    let is_all = arguments.get("instance") == Some("all") || arguments.get("vrf_name") == Some("all");
    let first = show(&view.of(arguments), arguments);
    if !is_all || arguments.has("json") {
        return first;
    }
    let vrfs = view.speaker.vrfs().filter_map(|(name, _)| view.within(name));
    let parts: Vec<String> = vrfs
        .map(|view| show(&view, arguments))
        .filter(|part| !part.is_empty())
        .collect();
    std::iter::once(first).chain(parts).collect()
}
