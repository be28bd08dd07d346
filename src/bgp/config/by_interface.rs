//! Neighbors that are known by the interface they are on, and what bgpd takes of no others or of them alone.

use ipnet::IpNet;

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::{Edit, flag, said};
use super::neighbors::{NO_PEER, peer_name, remote, set_remote_as};
use super::router::PeerName;
use super::settings::UpdateSource;

impl Edit<'_> {
    /// Whether a neighbor is known by its interface.
    pub fn is_by_interface(&mut self, name: &PeerName) -> Result<bool, Refusal> {
        Ok(matches!(name, PeerName::Interface(_)) && self.bgp()?.neighbor(name).is_some())
    }
}

pub(super) fn interface(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    let remote = remote(arguments)?;
    let bgp = edit.bgp()?;
    let message = match &name {
        PeerName::Address(_) => "this is no interface's name",
        PeerName::Interface(name) if bgp.groups.contains_key(name) => "Name conflict with peer-group ",
        PeerName::Interface(_) => "",
    };
    if !message.is_empty() {
        return Err(Refusal::Invalid(message.to_owned(), arguments.span("peer")));
    }
    match (remote, arguments.get("group")) {
        (Some(_), _) => set_remote_as(bgp, name.clone(), remote, arguments)?,
        (None, Some(group)) => bgp.bind(name.clone(), group, arguments)?,
        (None, None) => {}
    }
    bgp.make(name).v6only = arguments.has("v6only");
    Ok(())
}

pub(super) fn update_source(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    // Of a neighbor by interface bgpd takes it without a word and does nothing.
    if edit.is_by_interface(&name)? {
        return Ok(());
    }
    said(&mut edit.settings(arguments)?.update_source, arguments, || {
        let interface = arguments.get("interface").unwrap_or_default();
        match arguments.optional("source")? {
            Some(address) => Ok(UpdateSource::Address(address)),
            None if interface.parse::<IpNet>().is_ok() => Err(Refusal::Invalid(
                "Invalid update-source, remove prefix length ".to_owned(),
                arguments.span("interface"),
            )),
            None => Ok(UpdateSource::Interface(interface.to_owned())),
        }
    })
}

pub(super) fn extended_nexthop(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    match (edit.is_by_interface(&name)?, arguments.no()) {
        (true, true) => {
            let message = format!("Peer {name} cannot have capability extended-nexthop turned off");
            Err(Refusal::Bare(message))
        }
        (true, false) => Ok(()),
        (false, _) => {
            let Ok(settings) = edit.settings(arguments) else {
                // bgpd looks for it twice.
                return Err(Refusal::Bare(format!("% {NO_PEER}\n% {NO_PEER}")));
            };
            flag(&mut settings.extended_nexthop, arguments)
        }
    }
}

pub(super) fn disable_connected_check(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = peer_name(arguments)?;
    match edit.is_by_interface(&name)? {
        true => Err(Refusal::Bare(format!(
            "{name} is directly connected peer, cannot accept disable-connected-check"
        ))),
        false => flag(&mut edit.settings(arguments)?.disable_connected_check, arguments),
    }
}
