//! Keys of interfaces that speak to each other under keys: WireGuard's and MACsec's. Those that a lab file does not give are made
//! here, and are in no file and no message.

use std::collections::HashMap;
use std::net::SocketAddr;

use nix::errno::Errno;
use ring::rand::{SecureRandom, SystemRandom};

use crate::failure::Failure;
use crate::kernel::generic_netlink::Family;
use crate::kernel::namespace::Made;
use crate::kernel::{Error, Result, link};
use crate::lab::links::wireguard::{self, Who, Wireguard};
use crate::lab::links::{self, Attribute, Device, End, macsec};
use crate::lab::plan::{Device as Shape, LinkStep, Plan, PortStep};

/// An interface by its node and its name.
type Name<'a> = (&'a str, &'a str);

/// Gives the plan's interfaces their keys, and tells each of its peers.
///
/// # Errors
/// What the kernel refused.
pub fn introduce(plan: &Plan, made: &mut [Made]) -> std::result::Result<(), Failure> {
    wireguards(plan, made)?;
    macsecs(plan, made)?;
    Ok(())
}

/// The interfaces of a type, with the node that they are in.
fn of_type<'a, T>(
    plan: &'a Plan,
    pick: impl Fn(&'a Device) -> Option<&'a T>,
) -> Vec<(Name<'a>, &'a PortStep, &'a T)> {
    let own = |step: &'a LinkStep| match &step.device {
        Shape::Device { port, device, .. } => {
            let node = plan.namespaces.get(port.namespace)?.node.as_str();
            Some(((node, port.name.as_str()), port, pick(device)?))
        }
        _ => None,
    };
    plan.links.iter().filter_map(own).collect()
}

fn name(end: &End) -> Name<'_> {
    (end.node.as_str(), end.interface.as_str())
}

fn fresh(octets: usize) -> Result<Vec<u8>> {
    let mut key = vec![0; octets];
    let filled = SystemRandom::new().fill(&mut key);
    filled.map_err(|_| Error::new("make a key", Errno::EIO))?;
    Ok(key)
}

fn wireguards(plan: &Plan, made: &[Made]) -> Result<()> {
    let all = of_type(plan, |device| match device {
        Device::Wireguard(it) => Some(it),
        _ => None,
    });
    let mut known: HashMap<Name<'_>, (Vec<u8>, &Wireguard)> = HashMap::new();
    for (name, port, device) in &all {
        let key = match &device.private_key {
            Some(key) => key.0.clone(),
            None => fresh(wireguard::KEY)?,
        };
        let what = format!("give {}:{} its key", name.0, name.1);
        let public = made[port.namespace].namespace.run(|| {
            let mut family = Family::open(wireguard::FAMILY)?;
            let own = wireguard::own(port.index, &key, device);
            family.send(&what, wireguard::SET_DEVICE, &links::encode(&own))?;
            let asked = links::encode(&own[..1]);
            family.get(&what, wireguard::GET_DEVICE, &asked, wireguard::PUBLIC_KEY)
        })?;
        known.insert(*name, (public, device));
    }
    for (own, port, device) in &all {
        let mut messages: Vec<Vec<Attribute>> = Vec::new();
        for peer in &device.peers {
            let (key, listens) = match &peer.who {
                Who::Outside(key) => (key, None),
                Who::Inside(end) => match known.get(&name(end)) {
                    Some((key, there)) => (key, there.listen_port),
                    None => continue,
                },
            };
            let endpoint = peer.endpoint.and_then(|(address, port)| {
                let port = port.or(listens)?;
                Some(SocketAddr::new(address, port))
            });
            messages.push(wireguard::with_peer(port.index, key, endpoint, peer));
        }
        let what = format!("tell {}:{} of its peers", own.0, own.1);
        made[port.namespace].namespace.run(|| {
            let mut family = Family::open(wireguard::FAMILY)?;
            messages
                .iter()
                .try_for_each(|it| family.send(&what, wireguard::SET_DEVICE, &links::encode(it)))
        })?;
    }
    Ok(())
}

fn macsecs(plan: &Plan, made: &mut [Made]) -> Result<()> {
    let all = of_type(plan, |device| match device {
        Device::Macsec(it) => Some(it),
        _ => None,
    });
    let mut known: HashMap<Name<'_>, (Vec<u8>, [u8; 8])> = HashMap::new();
    for (name, port, device) in &all {
        let key = match &device.key {
            Some(key) => key.0.clone(),
            None => fresh(macsec::KEY)?,
        };
        let interfaces = link::list(&mut made[port.namespace].netlink)?;
        let found = interfaces.iter().find(|it| it.index == port.index);
        let mac = found.and_then(|it| <[u8; 6]>::try_from(it.address.as_slice()).ok());
        let what = || format!("find the MAC address of {}:{}", name.0, name.1);
        let mac = mac.ok_or_else(|| Error::new(what(), Errno::ENODEV))?;
        known.insert(*name, (key, macsec::channel(mac)));
    }
    for (own, port, device) in &all {
        let Some((key, _)) = known.get(own) else { continue };
        let mut messages = vec![(macsec::ADD_TXSA, macsec::sends_with(port.index, key))];
        for peer in &device.peers {
            let Some((key, channel)) = known.get(&name(peer)) else {
                continue;
            };
            messages.push((macsec::ADD_RXSC, macsec::hears(port.index, *channel)));
            messages.push((macsec::ADD_RXSA, macsec::hears_with(port.index, *channel, key)));
        }
        let what = format!("give {}:{} its keys", own.0, own.1);
        made[port.namespace].namespace.run(|| {
            let mut family = Family::open(macsec::FAMILY)?;
            messages
                .iter()
                .try_for_each(|(command, it)| family.send(&what, *command, &links::encode(it)))
        })?;
    }
    Ok(())
}
