//! What containerlab's newer keys say of a node: FRR's daemons, directories that are not of its root.

use crate::import::reader::Reader;
use crate::import::yaml::Yaml;
use crate::lab::daemons::{ALWAYS, OPTIONAL};
use crate::lab::file::mounts::{self, Form};
use crate::lab::file::reader::Wrong;
use crate::lab::file::{MountSpec, Spanned, suggest};

/// `extras.frr.daemons`; other extras are vendors' and have no effect here.
pub(super) fn daemons(reader: &mut Reader, yaml: &Yaml) -> Option<Vec<Spanned<String>>> {
    let mut table = reader.table(yaml, "extras", "`extras`")?;
    let frr = table.get("frr");
    for key in ["srl-agents", "mysocket-proxy", "k8s_kind", "ceos-copy-to-flash"] {
        table.ignore(&[key], reader);
    }
    table.finish(reader);
    let mut table = reader.table(frr?, "frr", "`extras.frr`")?;
    let listed = table.get("daemons").and_then(|yaml| {
        reader.list(yaml, "daemons", "bgpd", |reader, yaml| {
            reader.parsed(yaml, "daemons", "bgpd", daemon)
        })
    });
    table.finish(reader);
    // An empty list is as good as none.
    listed.filter(|listed| !listed.is_empty())
}

fn daemon(text: &str) -> Result<String, Wrong> {
    let known = || OPTIONAL.into_iter().chain(ALWAYS);
    match known().any(|name| name == text) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(
            format!("FRR has no daemon `{}`", text.escape_debug()),
            suggest::cure(text, known(), "its daemons are", ""),
        )),
    }
}

/// Volumes and file systems in memory, in a list or as the keys of a mapping, whose values are options.
pub(super) fn mounts(reader: &mut Reader, yaml: &Yaml, key: &str, form: Form) -> Vec<MountSpec> {
    if yaml.entries().is_some() {
        let entries = reader.map(yaml, key, &format!("{key}: [/data]"));
        let entries: Vec<_> = entries
            .iter()
            .map(|(name, value)| {
                let options = value.scalar().filter(|options| !options.is_empty());
                let options = options.map(|options| format!(":{options}")).unwrap_or_default();
                Spanned::new(format!("{}{options}", name.name), name.span.clone())
            })
            .collect();
        let mut found = Vec::new();
        for text in entries {
            match form(&text.value) {
                Ok(read) => found.push(mounts::spec(Spanned::new(read, text.span))),
                Err(wrong) => reader.wrong(text.span, wrong.message, wrong.help),
            }
        }
        return found;
    }
    let listed = reader.list(yaml, key, "/data", |reader, yaml| {
        reader.parsed(yaml, key, "/data", form).map(mounts::spec)
    });
    listed.unwrap_or_default()
}
