//! What bgpd refuses of neighbors and peer-groups, in its own words.

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::Edit;
use super::neighbors::peer_name;
use super::router::{Bgp, Group, Neighbor, PeerName};
use super::settings::{FamilySettings, RemoteAs};

/// Most octets of a password (RFC 2385; Linux takes 80).
const LONGEST_PASSWORD: usize = 80;

impl Bgp {
    /// Whether an AS is the own; none where the AS is not known.
    pub(super) fn is_own(&self, remote: RemoteAs) -> bool {
        match remote {
            RemoteAs::Internal => true,
            RemoteAs::External => false,
            RemoteAs::Number(asn) => asn == self.asn,
        }
    }

    /// A neighbor's or a group's AS, which may be its group's.
    pub(super) fn remote_of(&self, name: &PeerName) -> Option<RemoteAs> {
        if let Some(group) = self.group_named(name) {
            return group.settings.remote_as;
        }
        let neighbor = self.neighbor(name)?;
        neighbor
            .own
            .settings
            .remote_as
            .or_else(|| self.group_of(neighbor)?.settings.remote_as)
    }

    /// Whether a neighbor or a group is internal; none where that is not known. A group that does not say it is as its first
    /// member.
    pub(super) fn is_internal(&self, name: &PeerName) -> Option<bool> {
        let of_member = || match name {
            PeerName::Interface(group) => self.members(group).next()?.own.settings.remote_as,
            PeerName::Address(_) => None,
        };
        let remote = self.remote_of(name).or_else(of_member);
        remote.map(|remote| self.is_own(remote))
    }

    /// The group of this name.
    pub(super) fn group_named(&self, name: &PeerName) -> Option<&Group> {
        match name {
            PeerName::Interface(name) => self.groups.get(name),
            PeerName::Address(_) => None,
        }
    }

    pub(super) fn group_of(&self, neighbor: &Neighbor) -> Option<&Group> {
        self.groups.get(neighbor.group.as_ref()?)
    }

    /// The members of a group.
    pub(super) fn members<'b>(&'b self, group: &'b str) -> impl Iterator<Item = &'b Neighbor> {
        let neighbors = self.neighbors.iter();
        neighbors.filter(move |neighbor| neighbor.group.as_deref() == Some(group))
    }

    /// Members of a group are all of the kind that it says, or else of the first one's.
    ///
    /// # Errors
    /// This AS is of the other.
    pub(super) fn must_suit(&self, group: &str, remote: RemoteAs) -> Result<(), Refusal> {
        let said = self.groups.get(group).and_then(|group| group.settings.remote_as);
        let mut members = self.members(group);
        let first = match said {
            // As with bgpd a number says less than a word.
            Some(RemoteAs::Number(_)) => None,
            Some(said) => Some(said),
            None => members.find_map(|member| member.own.settings.remote_as),
        };
        match first {
            Some(first) if self.is_own(first) != self.is_own(remote) => Err(Refusal::invalid(
                "Peer-group members must be all internal or all external.",
            )),
            _ => Ok(()),
        }
    }
}

impl Group {
    /// What only external or internal neighbors have goes with a change of the kind.
    pub(super) fn become_kind(&mut self, is_internal: bool) {
        if is_internal {
            self.settings.local_as = None;
            self.settings.ebgp_multihop = None;
        } else {
            self.ipv4.route_reflector_client = None;
            self.ipv6.route_reflector_client = None;
            self.evpn.route_reflector_client = None;
        }
    }
}

impl Edit<'_> {
    /// # Errors
    /// An address is the router's own.
    pub fn must_be_foreign(&self, name: &PeerName) -> Result<(), Refusal> {
        let PeerName::Address(address) = name else {
            return Ok(());
        };
        // bgpd does not know those of the loopback itself.
        match self.own.addresses.contains(address) && !address.is_loopback() {
            true => Err(Refusal::invalid("Can not configure the local system as neighbor")),
            false => Ok(()),
        }
    }

    /// # Errors
    /// The neighbor is internal, where only external ones are taken.
    pub fn must_not_be_internal(&mut self, arguments: &Arguments, words: &str) -> Result<(), Refusal> {
        self.peer_family(arguments)?;
        let name = peer_name(arguments)?;
        match self.bgp()?.is_internal(&name) {
            Some(true) => Err(Refusal::invalid(format!(
                "{words} cannot be configured for IBGP peers"
            ))),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// The neighbor is not known to be internal.
    pub fn must_be_internal(&mut self, arguments: &Arguments) -> Result<(), Refusal> {
        self.peer_family(arguments)?;
        let name = peer_name(arguments)?;
        match self.bgp()?.is_internal(&name) {
            Some(true) => Ok(()),
            _ => Err(Refusal::Invalid(
                "Invalid command. Not an internal neighbor".to_owned(),
                arguments.span("peer"),
            )),
        }
    }

    /// # Errors
    /// `local-as` is no AS that the neighbor may take for the router's.
    pub fn check_local_as(&mut self, arguments: &Arguments) -> Result<(), Refusal> {
        self.settings(arguments)?;
        let asn: u32 = arguments.value("asn")?;
        let name = peer_name(arguments)?;
        let bgp = self.bgp()?;
        let is_group = bgp.group_named(&name).is_some();
        let is_member_unknown = |group: &PeerName| {
            let group = group.to_string();
            let first = bgp.members(&group).next();
            first.is_some_and(|first| bgp.remote_of(&first.name).is_none_or(|remote| bgp.is_own(remote)))
        };
        let message = match bgp.remote_of(&name) {
            Some(remote) if bgp.is_own(remote) => "Local-AS allowed only for EBGP peers",
            None if !is_group || is_member_unknown(&name) => "Local-AS allowed only for EBGP peers",
            _ if asn == bgp.asn => "Cannot have local-as same as BGP AS number",
            Some(RemoteAs::Number(remote)) if remote == asn => {
                "AS specified for local as is the same as the remote as and this is not allowed."
            }
            _ => return Ok(()),
        };
        Err(Refusal::Invalid(message.to_owned(), arguments.span("asn")))
    }

    /// # Errors
    /// A prefix-list and a distribute-list would stand in one direction.
    pub fn check_filters(&mut self, arguments: &Arguments) -> Result<(), Refusal> {
        let family = self.family();
        let own = self.peer_family(arguments)?.clone();
        let name = peer_name(arguments)?;
        let bgp = self.bgp()?;
        let group = bgp.neighbor(&name).and_then(|it| bgp.group_of(it));
        let settings = group.map_or_else(|| own.clone(), |group| own.or(group.family(family)));
        match other_filter(&settings, arguments).is_some() {
            true => Err(Refusal::invalid("Prefix/distribute list can not co-exist")),
            false => Ok(()),
        }
    }
}

/// The list of the other kind in the direction of a command.
fn other_filter<'s>(settings: &'s FamilySettings, arguments: &Arguments) -> Option<&'s String> {
    match (arguments.has("prefix-list"), arguments.has("in")) {
        (true, true) => settings.distribute_list_in.as_ref(),
        (true, false) => settings.distribute_list_out.as_ref(),
        (false, true) => settings.prefix_list_in.as_ref(),
        (false, false) => settings.prefix_list_out.as_ref(),
    }
}

/// # Errors
/// A password is longer than the kernel's.
pub(super) fn password(arguments: &Arguments) -> Result<String, Refusal> {
    let password = arguments.text("secret")?;
    match password.len() > LONGEST_PASSWORD {
        true => Err(Refusal::Invalid(
            "Invalid value".to_owned(),
            arguments.span("secret"),
        )),
        false => Ok(password),
    }
}
