//! How far away a neighbor may be: `ebgp-multihop` and `ttl-security`, which exclude each other. bgpd keeps two numbers of every neighbor
//! and group, of which each command changes both as it comes by; what follows from an order of commands is what it is there.

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::Edit;
use super::neighbors::peer_name;
use super::router::{Bgp, PeerName};
use super::settings::Settings;

/// The TTL of what is sent to a neighbor, and within how many hops it has to be; 0 for any number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Hops {
    ttl: u8,
    within: u8,
}

/// A neighbor's of which nothing is said.
const PLAIN: Hops = Hops { ttl: 1, within: 0 };
const FARTHEST: u8 = u8::MAX;
/// In the settings: the TTL is that of a neighbor on the wire although `ttl-security` would have it otherwise.
const NEAR: u8 = 0;

impl Hops {
    /// A group's own.
    fn of_group(settings: &Settings) -> Hops {
        Hops {
            ttl: settings.ebgp_multihop.unwrap_or(PLAIN.ttl).max(PLAIN.ttl),
            within: settings.ttl_security.unwrap_or(0),
        }
    }

    /// A neighbor's, whose group has the others.
    fn of_neighbor(own: &Settings, upper: Hops) -> Hops {
        let within = own.ttl_security.unwrap_or(upper.within);
        Hops {
            ttl: match own.ebgp_multihop {
                Some(ttl) => ttl.max(PLAIN.ttl),
                None if within > 0 => FARTHEST,
                None => upper.ttl,
            },
            within,
        }
    }

    /// Notes it as a neighbor's own.
    fn put(self, own: &mut Settings, upper: Hops) {
        own.ttl_security = (self.within != upper.within).then_some(self.within);
        own.ebgp_multihop = match (self.within > 0, self.ttl) {
            (true, FARTHEST) => None,
            (true, ttl) if ttl == PLAIN.ttl => Some(NEAR),
            (_, ttl) => (ttl != upper.ttl).then_some(ttl),
        };
    }

    fn put_group(self, settings: &mut Settings) {
        settings.ttl_security = (self.within > 0).then_some(self.within);
        settings.ebgp_multihop = (self.ttl != PLAIN.ttl).then_some(self.ttl);
    }

    /// `ebgp-multihop`, or what goes with `ttl-security`.
    fn set_ttl(&mut self, ttl: u8) -> Result<(), ()> {
        if self.ttl != ttl && ttl != FARTHEST && self.within > 0 {
            return Err(());
        }
        self.ttl = ttl;
        Ok(())
    }

    /// `no ebgp-multihop`: a member has its group's again.
    fn unset_ttl(&mut self, upper: Hops) -> Result<(), ()> {
        if self.within > 0 && self.ttl != FARTHEST {
            return Err(());
        }
        self.ttl = upper.ttl;
        Ok(())
    }
}

impl Bgp {
    /// Changes what is kept of a neighbor.
    fn with_hops(
        &mut self,
        name: &PeerName,
        change: impl FnOnce(&mut Hops, Hops) -> Result<(), ()>,
    ) -> Result<(), ()> {
        let group = self.neighbor(name).and_then(|it| self.group_of(it));
        let upper = group.map_or(PLAIN, |group| Hops::of_group(&group.settings));
        let neighbor = self.make(name.clone());
        let mut hops = Hops::of_neighbor(&neighbor.own.settings, upper);
        let outcome = change(&mut hops, upper);
        hops.put(&mut neighbor.own.settings, upper);
        outcome
    }

    /// Changes what is kept of a group, and then of each of its members, unless the first of the two refuses.
    fn with_groups_hops(
        &mut self,
        group: &str,
        change: impl FnOnce(&mut Hops, &[Hops]) -> Result<bool, ()>,
        of_member: impl Fn(&mut Hops, Hops),
    ) -> Result<(), ()> {
        let Some(settings) = self.groups.get(group).map(|it| &it.settings) else {
            return Ok(());
        };
        let before = Hops::of_group(settings);
        let mut own = before;
        let member = |it: &PeerName| self.is_internal(it) != Some(true);
        let names: Vec<PeerName> = self.members(group).map(|it| it.name.clone()).collect();
        let external: Vec<PeerName> = names.into_iter().filter(member).collect();
        let known = |name: &PeerName| Some(Hops::of_neighbor(&self.neighbor(name)?.own.settings, before));
        let hops: Vec<Hops> = external.iter().filter_map(known).collect();
        let goes_on = change(&mut own, &hops)?;
        if let Some(group) = self.groups.get_mut(group) {
            own.put_group(&mut group.settings);
        }
        for (name, mut hops) in external.into_iter().zip(hops) {
            if goes_on {
                of_member(&mut hops, own);
            }
            hops.put(&mut self.make(name).own.settings, own);
        }
        Ok(())
    }

    /// What a neighbor has that becomes a member of a group.
    pub(super) fn bind_hops(&mut self, name: &PeerName, group: &str) {
        let Some(found) = self.groups.get(group) else {
            return;
        };
        let upper = Hops::of_group(&found.settings);
        let was_internal = self.is_internal(name) == Some(true);
        let said = found.settings.remote_as;
        let is_internal = said.map_or(was_internal, |said| self.is_own(said));
        let own = &mut self.make(name.clone()).own.settings;
        let mut hops = Hops::of_neighbor(own, PLAIN);
        if was_internal {
            hops.ttl = FARTHEST;
        }
        // Whether it is at the wire or not, bgpd keeps what the neighbor had where the group says nothing.
        if upper.ttl != PLAIN.ttl {
            hops.ttl = upper.ttl;
        }
        hops.within = upper.within;
        match is_internal {
            true => (own.ebgp_multihop, own.ttl_security) = (None, None),
            false => hops.put(own, upper),
        }
    }
}

impl Edit<'_> {
    /// # Errors
    /// `ttl-security` is there, with a member where it is a group's.
    pub fn ebgp_multihop(&mut self, arguments: &Arguments) -> Result<(), Refusal> {
        self.settings(arguments)?;
        let ttl: u8 = arguments.optional("hops")?.unwrap_or(FARTHEST);
        let (name, group) = (peer_name(arguments)?, arguments.text("peer")?);
        let (is_group, no) = (self.is_group(arguments)?, arguments.no());
        if matches!(name, PeerName::Interface(_)) && !is_group && !no {
            let why = "Operation not allowed on a directly connected neighbor";
            return Err(Refusal::invalid(why));
        }
        let bgp = self.bgp()?;
        // An internal one has as many as it needs.
        if bgp.is_internal(&name) == Some(true) {
            return Ok(());
        }
        let done = match (is_group, no) {
            (false, false) => bgp.with_hops(&name, |hops, _| hops.set_ttl(ttl)),
            (false, true) => bgp.with_hops(&name, Hops::unset_ttl),
            (true, false) => bgp.with_groups_hops(
                &group,
                |own, members| {
                    let changes = own.ttl != ttl;
                    if changes && ttl != FARTHEST && members.iter().any(|it| it.within > 0) {
                        return Err(());
                    }
                    own.set_ttl(ttl).map(|()| changes)
                },
                |member, own| member.ttl = own.ttl,
            ),
            (true, true) => bgp.with_groups_hops(
                &group,
                |own, _| {
                    let changes = own.ttl != PLAIN.ttl;
                    own.unset_ttl(PLAIN).map(|()| changes)
                },
                |member, own| member.ttl = own.ttl,
            ),
        };
        done.map_err(together)
    }

    /// # Errors
    /// `ebgp-multihop` is there, with a member where it is a group's.
    pub fn ttl_security(&mut self, arguments: &Arguments) -> Result<(), Refusal> {
        self.settings(arguments)?;
        let within: u8 = arguments.optional("hops")?.unwrap_or(0);
        let (name, group) = (peer_name(arguments)?, arguments.text("peer")?);
        let (is_group, no) = (self.is_group(arguments)?, arguments.no());
        if !no && within > 1 && self.is_by_interface(&name)? {
            return Err(Refusal::Bare(format!(
                "{name} is directly connected peer, hops cannot exceed 1"
            )));
        }
        let bgp = self.bgp()?;
        let is_external = bgp.is_internal(&name) != Some(true);
        // Of whose AS nothing is known bgpd does not take back what went with it.
        let is_known = bgp.is_internal(&name) == Some(false);
        let before = bgp.group_named(&name).map(|it| Hops::of_group(&it.settings));
        // The TTL goes with it when it is said for the first time.
        let is_new = is_external && before.is_some_and(|it| it.within == 0);
        let done = match (is_group, no) {
            (false, false) => bgp.with_hops(&name, |hops, _| {
                let is_new = is_external && hops.within == 0;
                if is_new && hops.ttl != PLAIN.ttl {
                    return Err(());
                }
                hops.within = within;
                if is_new {
                    hops.ttl = FARTHEST;
                }
                Ok(())
            }),
            (false, true) => bgp.with_hops(&name, |hops, upper| {
                hops.within = upper.within;
                match is_known {
                    true => hops.unset_ttl(upper),
                    false => Ok(()),
                }
            }),
            (true, false) => bgp.with_groups_hops(
                &group,
                |own, members| {
                    let is_far = own.ttl != PLAIN.ttl || members.iter().any(|it| it.ttl != PLAIN.ttl);
                    if is_new && is_far {
                        return Err(());
                    }
                    own.within = within;
                    Ok(true)
                },
                |member, own| {
                    member.within = own.within;
                    if is_new {
                        member.ttl = FARTHEST;
                    }
                },
            ),
            (true, true) => bgp.with_groups_hops(
                &group,
                |own, _| {
                    own.within = 0;
                    Ok(true)
                },
                |member, own| {
                    member.within = 0;
                    // What it is refused without `ttl-security` is nothing.
                    let _ = member.unset_ttl(own);
                },
            ),
        };
        done.map_err(together)
    }
}

fn together((): ()) -> Refusal {
    Refusal::invalid("ebgp-multihop and ttl-security cannot be configured together")
}

/// What counts for a session of `ebgp-multihop` as it is kept.
pub(super) fn multihop(kept: Option<u8>) -> Option<u8> {
    kept.filter(|ttl| *ttl > PLAIN.ttl)
}

/// The same of `ttl-security`.
pub(super) fn within(kept: Option<u8>) -> Option<u8> {
    kept.filter(|hops| *hops > 0)
}

/// `ebgp-multihop` as it is written.
pub(super) fn written(kept: Option<u8>) -> Option<u8> {
    kept.filter(|ttl| *ttl != NEAR)
}
