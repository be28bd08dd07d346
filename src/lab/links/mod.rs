//! The types of devices that a node can have, one file each: its keys in the lab file, what the kernel is told, and how it is
//! shown. A new type is a file here and a line in [`registry`].

mod attribute;
mod keys;
mod secret;
mod shape;

use serde::{Deserialize, Serialize};

pub use attribute::{Attribute, encode};
pub use keys::{Described, Form, Keys};
pub use secret::{Secret, hide};
pub use shape::{Carrier, Setting, Shape, Vlans};

use super::file::Span;

/// What is known of a type by its name alone.
#[derive(Debug)]
pub struct Sort {
    /// Its name in lab files, and the kernel's.
    pub name: &'static str,
    /// What it is, for the schema.
    pub about: &'static str,
    /// The kernel's module that brings it, and the option it is built with.
    pub module: &'static str,
    /// See `module`.
    pub config: &'static str,
    /// Whether it is on top of another interface.
    pub below: Below,
    /// Whether interfaces are put into it.
    pub takes_ports: bool,
    /// Whether addresses on the interfaces put into it stay theirs.
    pub leaves_addresses: bool,
    /// Its MAC address.
    pub mac: MacRule,
    /// Names that its module gives to interfaces of its own in every network namespace.
    pub reserved: &'static [&'static str],
}

/// What every type is like unless it says otherwise.
const PLAIN: Sort = Sort {
    name: "",
    about: "",
    module: "",
    config: "",
    below: Below::Nothing,
    takes_ports: false,
    leaves_addresses: false,
    mac: MacRule::Derived,
    reserved: &[],
};

/// What a device is on top of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// Nothing.
    Nothing,
    /// An interface, if one is named.
    Possible,
    /// An interface.
    Needed,
}

/// Where a device has its MAC address from, where the file gives none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacRule {
    /// From the names of lab, node and interface.
    Derived,
    /// From the interface below.
    Inherited,
    /// It has none.
    None,
}

/// How a device is made.
#[derive(Debug, PartialEq)]
pub enum Making {
    /// By rtnetlink: the interface below by its index, and the attributes of its kind (IFLA_INFO_DATA).
    Link(Option<u32>, Vec<Attribute>),
    /// By /dev/net/tun.
    Tun(tun::Tun),
}

/// What a kernel must have for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Devices of a kind.
    Kind(&'static str),
    /// VLANs on bridges.
    VlanFiltering,
    /// /dev/net/tun.
    Tun,
}

/// One end of a pair that is described on both ends: a node's interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The node that owns the namespace.
    pub node: String,
    /// The interface.
    pub interface: String,
    /// Where it is named.
    #[serde(skip)]
    pub span: Span,
}

/// A type of device.
trait Type: Sized {
    /// Its names: most have one.
    fn sorts() -> &'static [Sort];
    /// Reads it. All keys are asked for, whatever is wrong with the first ones: that is how the schema knows them.
    fn read(sort: &'static Sort, keys: &mut Keys) -> Option<Self>;
    /// Its name.
    fn name(&self) -> &'static str;
    /// It in a few words, without secrets.
    fn label(&self) -> String;
    /// How it is made, on top of an interface.
    fn making(&self, link: Option<u32>) -> Making;
    /// What it needs of the kernel.
    fn needs(&self) -> Vec<Need> {
        vec![Need::Kind(self.name())]
    }
    /// The other ends it names.
    fn ends(&mut self) -> Vec<&mut End> {
        Vec::new()
    }
}

/// Declares the types: the file, and the structure in it.
macro_rules! registry {
    ($($module:ident: $variant:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// A device of one of the types.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Device {
            $(
                #[allow(missing_docs, reason = "told by its own file")]
                $variant($module::$variant)
            ),*
        }

        /// All names of types.
        pub fn sorts() -> impl Iterator<Item = &'static Sort> {
            [$($module::$variant::sorts()),*].into_iter().flatten()
        }

        impl Device {
            /// Reads the keys of a type.
            pub fn read(sort: &'static Sort, keys: &mut Keys) -> Option<Device> {
                $(
                    if $module::$variant::sorts().iter().any(|it| it.name == sort.name) {
                        return $module::$variant::read(sort, keys).map(Device::$variant);
                    }
                )*
                None
            }

            /// Its type's name.
            pub fn name(&self) -> &'static str {
                match self { $(Device::$variant(it) => it.name()),* }
            }

            /// It in a few words, without secrets.
            pub fn label(&self) -> String {
                match self { $(Device::$variant(it) => it.label()),* }
            }

            /// How it is made, on top of an interface.
            pub fn making(&self, link: Option<u32>) -> Making {
                match self { $(Device::$variant(it) => it.making(link)),* }
            }

            /// What it needs of the kernel.
            pub fn needs(&self) -> Vec<Need> {
                match self { $(Device::$variant(it) => it.needs()),* }
            }

            /// The other ends it names.
            pub fn ends(&mut self) -> Vec<&mut End> {
                match self { $(Device::$variant(it) => it.ends()),* }
            }
        }
    };
}

registry! {
    vlan: Vlan,
    bond: Bond,
    vrf: Vrf,
    bridge: Bridge,
    macvlan: Macvlan,
    ipvlan: Ipvlan,
    vxlan: Vxlan,
    tunnel: Tunnel,
    wireguard: Wireguard,
    macsec: Macsec,
    tun: Tun,
    dummy: Dummy,
    ifb: Ifb,
}

impl Device {
    /// What is known of its type.
    pub fn sort(&self) -> &'static Sort {
        sort(self.name()).unwrap_or(&PLAIN_SORT)
    }
}

static PLAIN_SORT: Sort = PLAIN;

/// A type by its name.
pub fn sort(name: &str) -> Option<&'static Sort> {
    sorts().find(|it| it.name == name)
}

impl Need {
    /// It in words.
    pub fn what(self) -> String {
        match self {
            Need::Kind(kind) => format!("{kind} devices"),
            Need::VlanFiltering => "bridges with VLANs".to_owned(),
            Need::Tun => "tun and tap devices".to_owned(),
        }
    }

    /// The kernel's module that brings it, where it is not a part of another.
    pub fn module(self) -> Option<&'static str> {
        match self {
            Need::Kind(kind) => Some(sort(kind).map_or(kind, |it| it.module)),
            Need::VlanFiltering => None,
            Need::Tun => Some("tun"),
        }
    }

    /// What a kernel that has it is built with, without CONFIG_.
    pub fn option(self) -> Option<&'static str> {
        match self {
            Need::Kind(kind) => sort(kind).map(|it| it.config),
            Need::VlanFiltering => Some("BRIDGE_VLAN_FILTERING"),
            Need::Tun => Some("TUN"),
        }
    }
}

#[cfg(test)]
mod tests;
