//! What a file is, by what is in it.

/// What a file is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A topology of containerlab's.
    Containerlab,
    /// A cluster of kind's.
    Kind,
    /// Values of Cilium's Helm chart.
    CiliumValues,
    /// Objects as kubectl takes them.
    Manifest,
}

/// Keys at the top of Cilium's Helm values that say what they are.
const VALUES: &[&str] = &[
    "ipam",
    "tunnel",
    "tunnelProtocol",
    "routingMode",
    "bgpControlPlane",
    "ipv4NativeRoutingCIDR",
    "ipv6NativeRoutingCIDR",
    "kubeProxyReplacement",
    "autoDirectNodeRoutes",
    "enableIPv4Masquerade",
    "hubble",
    "operator",
    "k8sServiceHost",
    "cni",
    "bpf",
];

impl Form {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Form::Containerlab => "a containerlab topology",
            Form::Kind => "a kind cluster",
            Form::CiliumValues => "values of Cilium's Helm chart",
            Form::Manifest => "Kubernetes objects",
        }
    }
}

/// What a text is. Its lines are looked at, not its meaning: text with errors in it is still to be told them as what
/// it is.
pub fn recognize(text: &str) -> Option<Form> {
    let top = || text.lines().filter_map(top_key);
    let value = |key: &str| top().find(|(name, _)| *name == key).map(|(_, value)| value);
    if value("topology").is_some() {
        return Some(Form::Containerlab);
    }
    if value("kind").is_some() && value("apiVersion").is_some() {
        let cluster = value("apiVersion").is_some_and(|version| version.contains("kind.x-k8s.io"));
        return Some(if cluster { Form::Kind } else { Form::Manifest });
    }
    let values = top().any(|(name, _)| VALUES.contains(&name));
    values.then_some(Form::CiliumValues)
}

/// A key that begins a line, and what follows it.
fn top_key(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let key = key.trim_end().trim_matches(['"', '\'']);
    let word = !key.is_empty()
        && key
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
    word.then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_by_what_is_in_it() {
        for (text, form) in [
            ("name: x\ntopology:\n  nodes: {}\n", Some(Form::Containerlab)),
            (
                "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n",
                Some(Form::Kind),
            ),
            (
                "# x\n---\napiVersion: \"cilium.io/v2\"\nkind: X\n",
                Some(Form::Manifest),
            ),
            ("tunnel: disabled\n", Some(Form::CiliumValues)),
            ("name: x\ntopology:\n  nodes: [\n", Some(Form::Containerlab)),
            ("services:\n  web: {}\n", None),
            ("", None),
        ] {
            assert_eq!(recognize(text), form, "{text}");
        }
    }
}
