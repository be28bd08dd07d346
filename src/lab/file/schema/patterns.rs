//! Values that are text of a certain form.

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Makes a string schema with a pattern.
macro_rules! pattern {
    ($name:ident, $pattern:literal, $description:literal) => {
        pub(in crate::file) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "description": $description,
                })
            }
        }
    };
}

pattern!(
    Duration,
    "^[0-9]+(\\.[0-9]+)?(ms|s|m|min|h)$",
    "A number and a unit: 500ms, 2s, 1m."
);
pattern!(
    DelayText,
    "^[0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s)$",
    "A number and a unit: 10ms, 300us."
);
pattern!(
    ShareText,
    "^[0-9]+(\\.[0-9]+)?%$",
    "A share of the packets: 1%, 0.1%."
);
pattern!(
    RateText,
    "^[0-9]+(\\.[0-9]+)?(bit|kbit|mbit|gbit)$",
    "Bits a second: 10mbit, 500kbit."
);
pattern!(
    MacAddress,
    "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$",
    "A MAC address: 02:00:00:00:00:01."
);
pattern!(
    Interface,
    "^[A-Za-z0-9._][A-Za-z0-9._-]{0,14}$",
    "The name of an interface, at most 15 characters."
);
pattern!(
    MachineName,
    "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
    "The name of a machine, at most 64 characters."
);
pattern!(Mode, "^[0-7]{1,5}$", "Permission bits in octal: 0640.");
pattern!(
    BindText,
    "^[^:]+:/[^:]+(:(ro|rw))?$",
    "Host path, path in the node, and perhaps ro: data/:/data:ro."
);
pattern!(
    TmpfsText,
    "^/[^:]*(:[^:]*)?$",
    "Path in the node, and perhaps options of tmpfs's: /scratch:size=64M,mode=0755."
);
pattern!(
    VolumeText,
    "^([A-Za-z0-9][A-Za-z0-9_.-]*:)?/[^:]*(:(ro|rw))?$",
    "Perhaps a name, path in the node, and perhaps ro: data:/var/lib/data."
);
pattern!(
    PublishedPortText,
    "^(([0-9.]+|\\[[0-9A-Fa-f:.]+\\]):)?[0-9]+:[0-9]+(/(tcp|udp))?$",
    "[ADDRESS:]HOSTPORT:PORT, on the host's loopback where no address is given: 8080:80, 5353:53/udp."
);
pattern!(
    WaitText,
    "^[^:]+(:(created|links|configured|ready))?$",
    "A node, or a node and the stage it must reach."
);
pattern!(
    SharedNetwork,
    "^(node:.+|host)$",
    "node:NAME: the network of that node; host: this machine's."
);
pattern!(
    AddressWithPrefix,
    "^[0-9A-Fa-f:.]+/[0-9]{1,3}$",
    "An address with its prefix length: 10.0.1.2/24."
);
pattern!(
    EndpointText,
    "^[^:]+:[^:]+$",
    "NODE:INTERFACE; host:INTERFACE is an interface of this machine."
);
