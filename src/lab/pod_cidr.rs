//! The pod networks of nodes, cut from a cluster's subnet as kube-controller-manager cuts them
//! (`--allocate-node-cidrs`): the lowest that is free, in the order in which nodes register.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// How long the prefix of a node's network is when nobody says.
pub const NODE_MASK_V4: u8 = 24;
/// See [`NODE_MASK_V4`].
pub const NODE_MASK_V6: u8 = 64;
/// A subnet is cut into at most this many bits' worth of networks, as kube-controller-manager's bitmap allows.
const MOST_BITS: u8 = 16;

/// Why a subnet cannot be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncut {
    /// A node's network would be larger than the subnet, or than the family's addresses are long.
    Mask,
    /// There would be more networks than kube-controller-manager counts.
    TooMany,
    /// There are fewer networks than nodes.
    TooFew,
}

/// The networks of so many nodes.
///
/// # Errors
/// The subnet cannot be cut like this.
pub fn cut(subnet: IpNet, mask: u8, nodes: usize) -> Result<Vec<IpNet>, Uncut> {
    let bits = mask.checked_sub(subnet.prefix_len()).ok_or(Uncut::Mask)?;
    let room = subnet.max_prefix_len().checked_sub(mask).ok_or(Uncut::Mask)?;
    if bits > MOST_BITS {
        return Err(Uncut::TooMany);
    }
    if nodes > 1 << bits {
        return Err(Uncut::TooFew);
    }
    let network = |number: usize| {
        let offset = (number as u128).checked_shl(room.into()).unwrap_or_default();
        let address = match subnet.network() {
            // An offset within an IPv4 subnet fits into 32 bits.
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() | offset as u32).into(),
            IpAddr::V6(first) => IpAddr::from(Ipv6Addr::from_bits(first.to_bits() | offset)),
        };
        IpNet::new(address, mask).map_err(|_| Uncut::Mask)
    };
    (0..nodes).map(network).collect()
}

/// An address of a network by its number, alone; none beyond its last, nor an IPv4 network's broadcast address.
pub fn machine(net: &IpNet, number: u128) -> Option<IpNet> {
    let address: IpAddr = match net {
        IpNet::V4(net) => {
            let bits = net.network().to_bits().checked_add(u32::try_from(number).ok()?)?;
            Ipv4Addr::from_bits(bits).into()
        }
        IpNet::V6(net) => Ipv6Addr::from_bits(net.network().to_bits().checked_add(number)?).into(),
    };
    let has_broadcast = net.addr().is_ipv4() && net.max_prefix_len() - net.prefix_len() > 1;
    let is_broadcast = has_broadcast && net.broadcast() == address;
    (net.contains(&address) && !is_broadcast).then(|| address.into())
}

/// The length of a node's prefix: what was said for the family, or what kube-controller-manager takes.
pub fn mask(subnet: IpNet, v4: Option<u8>, v6: Option<u8>) -> u8 {
    match subnet {
        IpNet::V4(_) => v4.unwrap_or(NODE_MASK_V4),
        IpNet::V6(_) => v6.unwrap_or(NODE_MASK_V6),
    }
}

/// The networks of each node, one of each subnet: two families make a dual stack.
///
/// # Errors
/// One of the subnets, by its place, cannot be cut like this.
pub fn of_nodes(
    subnets: &[IpNet],
    v4: Option<u8>,
    v6: Option<u8>,
    nodes: usize,
) -> Result<Vec<Vec<IpNet>>, (usize, Uncut)> {
    let mut all = vec![Vec::with_capacity(subnets.len()); nodes];
    for (at, subnet) in subnets.iter().enumerate() {
        let networks = cut(*subnet, mask(*subnet, v4, v6), nodes).map_err(|uncut| (at, uncut))?;
        for (node, network) in all.iter_mut().zip(networks) {
            node.push(network);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn a_slash_24_a_node_in_order() {
        let networks = cut(net("10.1.0.0/16"), 24, 4).unwrap();
        let expected = ["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24", "10.1.3.0/24"].map(net);
        assert_eq!(networks, expected);
    }

    #[test]
    fn other_sizes_and_the_whole_subnet() {
        assert_eq!(cut(net("10.0.0.0/8"), 10, 3).unwrap()[2], net("10.128.0.0/10"));
        assert_eq!(cut(net("10.1.0.0/24"), 24, 1).unwrap(), [net("10.1.0.0/24")]);
        assert_eq!(cut(net("10.1.0.0/30"), 32, 4).unwrap()[3], net("10.1.0.3/32"));
        assert_eq!(cut(net("::/0"), 1, 2).unwrap()[1], net("8000::/1"));
    }

    #[test]
    fn dual_stack() {
        let subnets = [net("10.1.0.0/16"), net("fd00:10::/56")];
        let networks = of_nodes(&subnets, None, None, 2).unwrap();
        assert_eq!(networks[0], [net("10.1.0.0/24"), net("fd00:10::/64")]);
        assert_eq!(networks[1], [net("10.1.1.0/24"), net("fd00:10:0:1::/64")]);
        let networks = of_nodes(&subnets, Some(20), Some(60), 2).unwrap();
        assert_eq!(networks[1], [net("10.1.16.0/20"), net("fd00:10:0:10::/60")]);
    }

    #[test]
    fn addresses_are_counted_within_their_network() {
        assert_eq!(machine(&net("10.1.0.0/24"), 2), Some(net("10.1.0.2/32")));
        assert_eq!(machine(&net("10.1.0.0/24"), 254), Some(net("10.1.0.254/32")));
        assert_eq!(machine(&net("10.1.0.0/24"), 255), None);
        assert_eq!(machine(&net("10.1.0.0/31"), 1), Some(net("10.1.0.1/32")));
        assert_eq!(machine(&net("fd00::/64"), 2), Some(net("fd00::2/128")));
        assert_eq!(machine(&net("255.255.255.252/30"), 9), None);
    }

    #[test]
    fn what_cannot_be_cut() {
        assert_eq!(cut(net("10.1.0.0/26"), 24, 1), Err(Uncut::Mask));
        assert_eq!(cut(net("10.1.0.0/26"), 33, 1), Err(Uncut::Mask));
        assert_eq!(cut(net("10.1.0.0/23"), 24, 3), Err(Uncut::TooFew));
        assert_eq!(cut(net("fd00::/32"), 64, 3), Err(Uncut::TooMany));
        assert_eq!(
            of_nodes(&[net("10.1.0.0/23")], None, None, 3),
            Err((0, Uncut::TooFew))
        );
        assert_eq!(of_nodes(&[net("10.1.0.0/23")], None, None, 0), Ok(Vec::new()));
    }
}
