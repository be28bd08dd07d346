//! The words between `show` and what is asked for: `show [ip] bgp [vrf NAME] [ipv4|ipv6] [unicast]`.

use super::View;
use super::json::Object;
use crate::config::Arguments;
use crate::wire::Family;

/// Which families an answer is about.
pub(super) struct Scope<'l> {
    family: Option<Family>,
    /// Whether the command names a family of prefixes beside that of addresses.
    is_exact: bool,
    instance: Option<&'l str>,
    is_view: bool,
    json: bool,
}

impl<'l> Scope<'l> {
    pub(super) fn of(arguments: &Arguments<'l>) -> Scope<'l> {
        let family = match arguments.one_of(&["l2vpn", "ipv4", "ipv6", "ip"]) {
            Some("l2vpn") => Some(Family::L2vpnEvpn),
            Some("ipv6") => Some(Family::Ipv6Unicast),
            Some(_) => Some(Family::Ipv4Unicast),
            None => None,
        };
        Scope {
            family,
            is_exact: arguments.has("unicast") || arguments.has("evpn"),
            instance: arguments.get("instance"),
            is_view: arguments.has("view"),
            json: arguments.has("json"),
        }
    }

    /// What is said where another than the one router is meant.
    pub(super) fn refusal(&self, view: &View) -> Option<String> {
        let words = match () {
            () if self.stranger(view).is_some() && self.json => "View/Vrf is unknown",
            () if self.stranger(view).is_some() => "BGP instance not found",
            () if view.bgp().is_none() => "Default BGP instance not found",
            () => return None,
        };
        Some(match self.json {
            true => Object::new().with("warning", words).pretty() + "\n",
            false => format!("% {words}\n"),
        })
    }

    /// Another instance than the one that is viewed. As with FRR that is a VRF, and no view.
    fn stranger(&self, view: &View) -> Option<&'l str> {
        let is_other = |name: &&str| match *name {
            "all" => false,
            name if !self.is_view && Some(name) == view.speaker.vrf_name() => false,
            "default" => self.is_view,
            _ => true,
        };
        self.instance.filter(is_other)
    }

    /// The same of commands about routes, whose words are others.
    pub(super) fn refusal_of_routes(&self, view: &View) -> Option<String> {
        match self.stranger(view) {
            Some(name) if !self.json => Some(unknown(name)),
            _ => self.refusal(view),
        }
    }

    /// The same of commands that say it as text alone.
    pub(super) fn refusal_in_words(&self, view: &View) -> Option<String> {
        self.stranger(view).map(unknown).or_else(|| self.refusal(view))
    }

    /// The same of commands that FRR has for instances that it finds by no name, `default` included.
    pub(super) fn refusal_of_named(&self, words: &str) -> Option<String> {
        let is_named = self.instance.is_some();
        is_named.then(|| match self.json {
            true => "{\n}\n".to_owned(),
            false => format!("% {words}\n"),
        })
    }

    /// What stands above the answer of each instance where all are asked.
    pub(super) fn heading(&self) -> &'static str {
        match self.instance {
            Some("all") => "\nInstance default:\n",
            _ => "",
        }
    }

    /// The one family that answers of `summary` have no heading for.
    pub(super) fn only(&self) -> Option<Family> {
        self.family.filter(|_| self.is_exact)
    }

    /// The families, all where none is named.
    pub(super) fn families(&self) -> Vec<Family> {
        self.family
            .map_or(Family::UNICAST.to_vec(), |family| vec![family])
    }

    /// The same with those that have no prefixes.
    pub(super) fn all_families(&self) -> Vec<Family> {
        self.family.map_or(Family::ALL.to_vec(), |family| vec![family])
    }

    /// The family of a table; FRR takes IPv6 where none is named.
    pub(super) fn table(&self) -> Family {
        self.family.unwrap_or(Family::Ipv6Unicast)
    }
}

fn unknown(instance: &str) -> String {
    format!("View/Vrf {instance} is unknown\n")
}

/// The key of a family in FRR's JSON.
pub(super) fn key(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "ipv4Unicast",
        Family::Ipv6Unicast => "ipv6Unicast",
        Family::L2vpnEvpn => "l2VpnEvpn",
    }
}

/// Answers of several families as one JSON object.
pub(super) fn several(answers: impl Iterator<Item = (Family, String)>) -> String {
    let answers: Vec<String> = answers
        .map(|(family, answer)| format!("\"{}\":{answer}\n", key(family)))
        .collect();
    format!("{{\n{}}}\n", answers.join(",\n"))
}
