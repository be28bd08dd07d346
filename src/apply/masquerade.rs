//! Source NAT inside nodes.

use crate::kernel;
use crate::kernel::nftables::{self, Family, Hook, Nftables, Rule};
use crate::lab::model::Masquerade;

const TABLE: &str = "nslab";
/// The priority of source NAT (NF_IP_PRI_NAT_SRC).
const SOURCE_NAT: i32 = 100;

/// What goes beyond the network in which pods are known by their own addresses leaves with the node's; what leaves by an
/// interface of `by`, whatever it is, with that of the interface.
///
/// # Errors
/// The kernel refuses.
pub fn masquerade(rules: &[Masquerade], by: &[String]) -> kernel::Result<()> {
    let mut changes = vec![
        nftables::table(TABLE, false),
        nftables::chain(TABLE, "postrouting", "nat", Hook::PostRouting, SOURCE_NAT),
    ];
    for one in rules {
        let rule = Rule::new().source_in(one.source).not_destination_in(one.native);
        // What stays on the node is seen as it is.
        let rule = rule.not_to_interface("lxc*").not_to_interface("cilium_*");
        changes.push(rule.masquerade().append(Family::Inet, TABLE, "postrouting"));
    }
    for interface in by {
        let rule = Rule::new().to_interface(interface).masquerade();
        changes.push(rule.append(Family::Inet, TABLE, "postrouting"));
    }
    Nftables::open()?.change(changes)
}
