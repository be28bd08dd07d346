//! The node's VXLAN devices and bridges as EVPN sees them, and what EVPN puts into them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;

use super::network::Network;
use super::process::HostEvent;
use crate::bgp::evpn::{LocalMac, LocalVni, Overlay};
use crate::bgp::wire::Mac;
use crate::kernel::bridging::{self, Entry, Resolved, Vxlan};
use crate::kernel::netlink::{Netlink, Request};
use crate::kernel::watch_host::{self, Announced};
use crate::kernel::{Error, Result};

/// What is there, and what is on its way there.
#[derive(Default)]
pub struct Bridging {
    /// Whether the kernel's announcements are heard.
    is_followed: bool,
    local: Vec<LocalVni>,
    requests: Vec<Request>,
    /// Whether what an earlier life has left was taken out.
    is_swept: bool,
}

impl Bridging {
    /// Looks again. Returns what there is where that is not as before.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn look(
        &mut self,
        netlink: &mut Netlink,
        network: &Network,
        host_events: &Sender<HostEvent>,
    ) -> Result<Option<Vec<LocalVni>>> {
        if !self.is_followed {
            // Heard from before the first look, so that nothing is missed in between.
            follow(watch_host::neighbors()?, host_events.clone());
            self.is_followed = true;
        }
        let devices = bridging::devices(netlink)?;
        let (entries, resolved) = match devices.is_empty() {
            true => (Vec::new(), Vec::new()),
            false => (bridging::entries(netlink)?, bridging::resolved(netlink)?),
        };
        let local = local(&devices, &entries, &resolved, network);
        if !self.is_swept {
            self.is_swept = true;
            self.sweep(&local, &entries, &resolved);
        }
        if local == self.local {
            return Ok(None);
        }
        self.local = local.clone();
        Ok(Some(local))
    }

    /// Takes out what an earlier life has put in: what still holds is put in again.
    fn sweep(&mut self, local: &[LocalVni], entries: &[Entry], resolved: &[Resolved]) {
        for vni in local {
            let of_device = entries
                .iter()
                .filter(|it| it.port == vni.device.0 && it.is_external);
            for entry in of_device {
                if let Some(to) = entry.to {
                    let what = format!("take {} out of {}", Mac(entry.mac), vni.device.1);
                    self.requests
                        .push(bridging::remove_mac(&what, vni.device.0, entry.mac, to));
                }
            }
            let of_bridge = resolved
                .iter()
                .filter(|it| it.interface == vni.bridge.0 && it.is_external);
            for neighbor in of_bridge {
                let what = format!("take {} out of {}", neighbor.address, vni.bridge.1);
                self.requests
                    .push(bridging::remove_neighbor(&what, vni.bridge.0, neighbor.address));
            }
        }
    }

    fn vni(&self, vni: u32) -> Option<&LocalVni> {
        self.local.iter().find(|it| it.vni == vni)
    }

    /// Puts an entry in, or takes it out.
    pub fn place(&mut self, overlay: Overlay, stays: bool) {
        self.requests.extend(self.request(overlay, stays));
    }

    fn request(&self, overlay: Overlay, stays: bool) -> Option<Request> {
        let (Overlay::Flood { vni, .. } | Overlay::Mac { vni, .. } | Overlay::Neighbor { vni, .. }) = overlay;
        // Of a device that is gone all entries are.
        let local = self.vni(vni)?;
        let (device, name) = (local.device.0, &local.device.1);
        let (bridge, bridge_name) = (local.bridge.0, &local.bridge.1);
        Some(match (overlay, stays) {
            (Overlay::Flood { vtep, .. }, true) => {
                bridging::place_flood(&format!("send broadcasts of {name} to {vtep}"), device, vtep)
            }
            (Overlay::Flood { vtep, .. }, false) => {
                bridging::remove_flood(&format!("send no broadcasts of {name} to {vtep}"), device, vtep)
            }
            (Overlay::Mac { mac, vtep, .. }, true) => {
                bridging::place_mac(&format!("put {mac} into {name}"), device, mac.0, vtep)
            }
            (Overlay::Mac { mac, vtep, .. }, false) => {
                bridging::remove_mac(&format!("take {mac} out of {name}"), device, mac.0, vtep)
            }
            (Overlay::Neighbor { ip, mac, .. }, true) => {
                bridging::place_neighbor(&format!("put {ip} into {bridge_name}"), bridge, ip, mac.0)
            }
            (Overlay::Neighbor { ip, .. }, false) => {
                bridging::remove_neighbor(&format!("take {ip} out of {bridge_name}"), bridge, ip)
            }
        })
    }

    /// Tells the kernel all that waits. Returns what it refused, but for what was gone already.
    pub fn flush(&mut self, netlink: &mut Netlink) -> Vec<Error> {
        let requests = std::mem::take(&mut self.requests);
        if requests.is_empty() {
            return Vec::new();
        }
        let mut failures = netlink.send(requests).err().unwrap_or_default();
        let is_gone =
            |error: &Error| matches!(error.errno, nix::errno::Errno::ENOENT | nix::errno::Errno::ENODEV);
        failures.retain(|error| !is_gone(error));
        failures
    }
}

/// What EVPN is to know of: VXLAN devices that are up, know their own address and are in a bridge.
fn local(devices: &[Vxlan], entries: &[Entry], resolved: &[Resolved], network: &Network) -> Vec<LocalVni> {
    let names: BTreeMap<u32, &str> = network
        .interfaces
        .iter()
        .map(|it| (it.index, it.name.as_str()))
        .collect();
    let name = |index: u32| names.get(&index).map(|name| (*name).to_owned());
    let tunnels: BTreeSet<u32> = devices.iter().map(|it| it.index).collect();
    let one = |device: &Vxlan| -> Option<LocalVni> {
        let bridge = device.master.filter(|_| device.up)?;
        let own = network.link_layer.get(&bridge)?;
        let macs = entries
            .iter()
            .filter(|it| it.bridge == Some(bridge) && it.is_learned && !tunnels.contains(&it.port));
        let macs: BTreeSet<LocalMac> = macs
            .filter_map(|it| {
                Some(LocalMac {
                    mac: Mac(it.mac),
                    port: name(it.port)?,
                })
            })
            .collect();
        let neighbors = resolved
            .iter()
            .filter(|it| it.interface == bridge && !it.is_external);
        let neighbors: BTreeSet<(IpAddr, Mac)> = neighbors.map(|it| (it.address, Mac(it.mac))).collect();
        Some(LocalVni {
            vni: device.vni,
            device: (device.index, device.name.clone()),
            bridge: (bridge, name(bridge)?, Mac(own.as_slice().try_into().ok()?)),
            vtep: device.local?,
            macs: macs.into_iter().collect(),
            neighbors: neighbors.into_iter().collect(),
        })
    };
    devices.iter().filter_map(one).collect()
}

/// Tells that neighbors or forwarding databases have changed, until nobody wants to hear it.
fn follow(announced: AsyncFd<Announced>, host_events: Sender<HostEvent>) {
    let announced = Rc::new(announced);
    tokio::task::spawn_local(async move {
        loop {
            let ready = tokio::select! {
                ready = announced.readable() => ready,
                () = host_events.closed() => return,
            };
            let Ok(mut ready) = ready else { return };
            // Cleared first: what comes while it is read makes it ready again.
            ready.clear_ready();
            announced.get_ref().forget();
            if host_events.send(HostEvent::Bridging).await.is_err() {
                return;
            }
        }
    });
}
