//! What containerlab's newer keys say of a node: FRR's daemons, directories of its own.

use crate::import::reader::Reader;
use crate::import::yaml::Yaml;
use crate::lab::daemons::{ALWAYS, OPTIONAL};
use crate::lab::spec::reader::Wrong;
use crate::lab::spec::{Spanned, suggest, values};

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

/// The paths of volumes and of file systems in memory, which are directories of the node's own here:
/// `[NAME:]PATH[:OPTIONS]`, in a list or as the keys of a mapping.
pub(super) fn directories(reader: &mut Reader, yaml: &Yaml, key: &str) -> Vec<Spanned<String>> {
    if yaml.entries().is_some() {
        let entries = reader.map(yaml, key, &format!("{key}: [/data]"));
        let paths = entries
            .iter()
            .map(|(name, _)| (name.name.to_string(), name.span.clone()));
        let paths: Vec<_> = paths.collect();
        let mut found = Vec::new();
        for (text, span) in paths {
            match path(&text) {
                Ok(path) => found.push(Spanned::new(path, span)),
                Err(wrong) => reader.wrong(span, wrong.message, wrong.help),
            }
        }
        return found;
    }
    let listed = reader.list(yaml, key, "/data", |reader, yaml| {
        reader.parsed(yaml, key, "/data", path)
    });
    listed.unwrap_or_default()
}

fn path(text: &str) -> Result<String, Wrong> {
    let found = text.split(':').find(|part| part.starts_with('/'));
    values::node_path(found.unwrap_or(text))
}
