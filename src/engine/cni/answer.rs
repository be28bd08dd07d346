//! What the plugin says: results and errors in the form of the version it is spoken to in.

use serde_json::{Value, json};

use super::configuration::{Attachment, Configuration};
use super::store::Place;

/// Versions of the specification that are spoken, the newest last.
pub const VERSIONS: [&str; 6] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0", "1.1.1"];

/// What went wrong, with the number that the specification has for it.
#[derive(Debug)]
pub struct Fault {
    code: u32,
    message: String,
}

/// The outcome of a verb.
pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    fn new(code: u32, message: impl Into<String>) -> Fault {
        let message = message.into();
        Fault { code, message }
    }

    /// A version that is not spoken.
    pub fn version(message: impl Into<String>) -> Fault {
        Fault::new(1, message)
    }

    /// A container or attachment that is not known.
    pub fn unknown(message: impl Into<String>) -> Fault {
        Fault::new(3, message)
    }

    /// A variable is missing, or makes no sense.
    pub fn environment(message: impl Into<String>) -> Fault {
        Fault::new(4, message)
    }

    /// The kernel or the disk refused.
    pub fn io(message: impl Into<String>) -> Fault {
        Fault::new(5, message)
    }

    /// The configuration is no JSON.
    pub fn decoding(message: impl Into<String>) -> Fault {
        Fault::new(6, message)
    }

    /// The configuration makes no sense.
    pub fn configuration(message: impl Into<String>) -> Fault {
        Fault::new(7, message)
    }

    /// The network cannot take anybody now.
    pub fn unavailable(message: impl Into<String>) -> Fault {
        Fault::new(50, message)
    }

    /// As it is written.
    pub fn json(&self, version: &str) -> Value {
        json!({ "cniVersion": version, "code": self.code, "msg": self.message })
    }
}

impl From<crate::kernel::Error> for Fault {
    fn from(error: crate::kernel::Error) -> Fault {
        Fault::io(error.to_string())
    }
}

impl From<crate::failure::Failure> for Fault {
    fn from(failure: crate::failure::Failure) -> Fault {
        Fault::io(failure.to_string())
    }
}

/// What is spoken.
pub fn versions(version: &str) -> Value {
    json!({ "cniVersion": version, "supportedVersions": VERSIONS })
}

/// An attachment that was made: both ends, `macs` in this order, and what the pod has.
pub fn added(
    configuration: &Configuration,
    attachment: &Attachment,
    place: &Place,
    macs: &[String; 2],
) -> Value {
    let is_old = configuration.version.starts_with("0.");
    let ips = place.addresses.iter().map(|address| {
        let gateway = configuration.gateway_for(address);
        let mut ip = json!({
            "address": address.to_string(),
            "gateway": gateway.map(|it| it.addr().to_string()),
            "interface": 1,
        });
        if is_old {
            ip["version"] = json!(if address.addr().is_ipv4() { "4" } else { "6" });
        }
        ip
    });
    let routes = place.addresses.iter().map(|address| {
        let everywhere = if address.addr().is_ipv4() {
            "0.0.0.0/0"
        } else {
            "::/0"
        };
        let gateway = configuration.gateway_for(address).map(|it| it.addr().to_string());
        json!({ "dst": everywhere, "gw": gateway })
    });
    json!({
        "cniVersion": configuration.version,
        "interfaces": [
            { "name": place.interface, "mac": macs[0] },
            { "name": attachment.interface, "mac": macs[1], "sandbox": attachment.namespace },
        ],
        "ips": ips.collect::<Vec<_>>(),
        "routes": routes.collect::<Vec<_>>(),
        "dns": {},
    })
}

/// The loopback interface, raised.
pub fn loopback(version: &str, attachment: &Attachment) -> Value {
    json!({
        "cniVersion": version,
        "interfaces": [{ "name": attachment.interface, "mac": "00:00:00:00:00:00", "sandbox": attachment.namespace }],
        "ips": [],
        "dns": {},
    })
}
