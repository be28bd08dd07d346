//! `tmpfs` and `volumes`: directories of a node that are not of its root, in the form in which container runtimes take them.

use std::collections::BTreeMap;

use super::reader::{Reader, Table, Wrong};
use super::{MountSpec, Span, Spanned, suggest, values};
use crate::Diagnostic;
use crate::model::{Memory, Mounted, Volume};

/// A node has no more of them.
const MOST: usize = 64;
/// Options of tmpfs's that change nothing here.
const WITHOUT_EFFECT: [&str; 9] = [
    "sync",
    "async",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "strictatime",
    "norelatime",
];
/// The others.
const OPTIONS: [&str; 12] = [
    "rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "size=", "mode=", "uid=", "gid=",
];
/// No size is smaller: a page of memory.
const SMALLEST: u64 = 4096;

/// Both keys.
pub(super) fn read(reader: &mut Reader, table: &mut Table) -> Vec<MountSpec> {
    let mut mounts = Vec::new();
    for (key, example, form) in [
        ("tmpfs", "/scratch:size=64M", tmpfs as Form),
        ("volumes", "data:/var/lib/data", volume),
    ] {
        let Some(value) = table.get(key) else { continue };
        let quoted = format!("\"{example}\"");
        let read = reader.list(value, key, &quoted, |reader, value| {
            let read = reader.parsed(value, key, example, form)?;
            Some(spec(read))
        });
        mounts.extend(read.unwrap_or_default());
    }
    for diagnostic in diagnostics(&mounts) {
        reader.report(diagnostic);
    }
    mounts
}

/// How an entry is read: the path, and what is there.
pub type Form = fn(&str) -> Result<(String, Mounted), Wrong>;

/// A mount as it is kept.
pub fn spec(read: Spanned<(String, Mounted)>) -> MountSpec {
    let (target, what) = read.value;
    MountSpec {
        target: Spanned::new(target, read.span),
        what,
    }
}

/// What is wrong with all of them together.
pub fn diagnostics(mounts: &[MountSpec]) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut seen: BTreeMap<&str, &Span> = BTreeMap::new();
    for MountSpec { target, .. } in mounts {
        if let Some(first) = seen.insert(&target.value, &target.span) {
            let message = format!("two volumes or file systems are at `{}`", target.value);
            let diagnostic = Diagnostic::new(message, target.span.clone(), "again here")
                .and(first.clone(), "first here")
                .help("remove one, or give it another path");
            diagnostics.push(diagnostic);
        }
    }
    if let Some(more) = mounts.get(MOST) {
        let message = format!("a node has no more than {MOST} volumes and file systems in memory");
        let diagnostic = Diagnostic::new(message, more.target.span.clone(), "one too many")
            .help("put what belongs together below one directory");
        diagnostics.push(diagnostic);
    }
    diagnostics
}

/// `PATH[:OPTION,…]`.
pub fn tmpfs(text: &str) -> Result<(String, Mounted), Wrong> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let mut memory = Memory::default();
    for option in options
        .split(',')
        .map(str::trim)
        .filter(|option| !option.is_empty())
    {
        let number = |text: &str, radix, most| {
            let number = u32::from_str_radix(text, radix)
                .ok()
                .filter(|number| *number <= most);
            let help = match radix {
                8 => "write permission bits in octal: `mode=1777`",
                _ => "write a number: `uid=1000`",
            };
            number.ok_or_else(|| Wrong::new(format!("`{option}` is out of range"), help))
        };
        match option.split_once('=') {
            Some(("size", size)) => memory.bytes = Some(bytes(size)?),
            Some(("mode", mode)) => memory.mode = number(mode, 8, 0o7777)?,
            Some(("uid", id)) => memory.user = number(id, 10, 65_535)?,
            Some(("gid", id)) => memory.group = number(id, 10, 65_535)?,
            Some(("nr_inodes" | "nr_blocks" | "mpol" | "huge", _)) => {}
            None if WITHOUT_EFFECT.contains(&option) => {}
            _ => match option {
                "rw" => memory.read_only = false,
                "ro" => memory.read_only = true,
                "exec" => memory.exec = true,
                "noexec" => memory.exec = false,
                "suid" => memory.suid = true,
                "nosuid" => memory.suid = false,
                "dev" => memory.dev = true,
                "nodev" => memory.dev = false,
                _ => {
                    let message = format!(
                        "a file system in memory has no option `{}`",
                        option.escape_debug()
                    );
                    let cure = suggest::cure(option, OPTIONS, "the options are", "");
                    return Err(Wrong::new(message, cure));
                }
            },
        }
    }
    Ok((place(path)?, Mounted::Memory(memory)))
}

/// A path that is not the kernel's own.
fn place(path: &str) -> Result<String, Wrong> {
    let path = values::node_path(path)?;
    let mut parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let is_kernels = match (parts.next(), parts.next()) {
        (Some("proc" | "sys"), _) => true,
        (Some("dev"), second) => second.is_none(),
        _ => false,
    };
    match is_kernels {
        true => Err(Wrong::new(
            format!("`{path}` shows what the kernel has, in every node"),
            "name a directory of files, such as `/srv`",
        )),
        false => Ok(path),
    }
}

/// `64m`, `64M`, or bytes.
fn bytes(text: &str) -> Result<u64, Wrong> {
    let help = "write `size=64M`";
    if text.ends_with('%') {
        return Err(Wrong::new(
            "a part of the host's memory is no size for a node",
            help,
        ));
    }
    match values::bytes(&text.to_ascii_uppercase())? {
        bytes if bytes >= SMALLEST => Ok(bytes),
        _ => Err(Wrong::new(
            format!("`{text}` is too little for a file system"),
            help,
        )),
    }
}

/// `[NAME:]PATH[:OPTION,…]`.
pub fn volume(text: &str) -> Result<(String, Mounted), Wrong> {
    let wrong = |message: String| {
        Wrong::new(
            message,
            "write [NAME:]PATH[:ro]: `data:/var/lib/data`, or `/var/lib/data` for one without a name",
        )
    };
    let of_host = |path: &str| {
        let help = format!("did you mean `binds`? It shows what is the host's: `binds = [\"{text}\"]`");
        Err(Wrong::new(
            format!("`{}` is a path of the host's", path.escape_debug()),
            help,
        ))
    };
    let (name, rest) = match text.split_once(':') {
        Some((path, rest)) if path.starts_with('/') && rest.starts_with('/') => return of_host(path),
        Some((name, rest)) if !name.starts_with('/') => (Some(name), rest),
        _ => (None, text),
    };
    if let Some(name) = name {
        if name.starts_with(['.', '~']) || name.contains('/') {
            return of_host(name);
        }
        let is_name = name.starts_with(|it: char| it.is_ascii_alphanumeric())
            && name.len() <= 63
            && name
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"_.-".contains(&it));
        if !is_name {
            return Err(wrong(format!(
                "`{}` is not the name of a volume",
                name.escape_debug()
            )));
        }
    }
    let (path, options) = rest.split_once(':').unwrap_or((rest, ""));
    let mut read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" | "z" | "Z" | "nocopy" => {}
            _ => {
                return Err(wrong(format!(
                    "a volume has no option `{}`",
                    option.escape_debug()
                )));
            }
        }
    }
    let what = Mounted::Volume(Volume {
        name: name.map(str::to_owned),
        read_only,
        seeded: false,
    });
    Ok((place(path)?, what))
}

/// An entry as it is written, and its key.
pub fn written(target: &str, what: &Mounted) -> (&'static str, String) {
    match what {
        Mounted::Volume(volume) => {
            let name = volume
                .name
                .iter()
                .map(|name| format!("{name}:"))
                .collect::<String>();
            let end = if volume.read_only { ":ro" } else { "" };
            ("volumes", format!("{name}{target}{end}"))
        }
        Mounted::Memory(memory) => {
            let usual = Memory::default();
            let flag = |is: bool, word: &str| is.then(|| word.to_owned());
            let number = |name: &str, value: u32| (value != 0).then(|| format!("{name}={value}"));
            let options = [
                memory.bytes.map(|bytes| format!("size={bytes}")),
                (memory.mode != usual.mode).then(|| format!("mode={:o}", memory.mode)),
                number("uid", memory.user),
                number("gid", memory.group),
                flag(memory.read_only, "ro"),
                flag(memory.exec, "exec"),
                flag(memory.suid, "suid"),
                flag(memory.dev, "dev"),
            ];
            let options: Vec<String> = options.into_iter().flatten().collect();
            let text = match options.is_empty() {
                true => target.to_owned(),
                false => format!("{target}:{}", options.join(",")),
            };
            ("tmpfs", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (form, text) in [
            (tmpfs as Form, "/run/x"),
            (tmpfs, "/dev/shm/x"),
            (tmpfs, "/run/x:size=65536,mode=755,uid=7,gid=8,ro,exec,suid,dev"),
            (volume, "/data"),
            (volume, "a.b-c_1:/data:ro"),
        ] {
            let (target, what) = form(text).unwrap();
            assert_eq!(written(&target, &what).1, text);
        }
        let (_, what) = tmpfs("/x:rw,noexec,nosuid,nodev,noatime,size=64m,nr_inodes=5").unwrap();
        let memory = Memory {
            bytes: Some(64 << 20),
            ..Memory::default()
        };
        assert_eq!(what, Mounted::Memory(memory));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (form, text, said) in [
            (tmpfs as Form, "x", "absolute"),
            (tmpfs, "/./proc", "what the kernel has"),
            (volume, "v:/sys/fs", "what the kernel has"),
            (volume, "/dev/", "what the kernel has"),
            (tmpfs, "/x:size=5%", "part of the host's memory"),
            (tmpfs, "/x:size=1", "too little"),
            (tmpfs, "/x:size=99999999999T", "not an amount"),
            (tmpfs, "/x:mode=99", "out of range"),
            (tmpfs, "/x:uid=70000", "out of range"),
            (tmpfs, "/x:noexce", "no option `noexce`"),
            (volume, "./data:/data", "binds"),
            (volume, "/data:/data:ro", "binds"),
            (volume, "a b:/data", "not the name"),
            (volume, "data:data", "absolute"),
            (volume, "data:/data:rx", "no option `rx`"),
            (volume, "", "absolute"),
            (volume, ":/x", "not the name"),
        ] {
            let wrong = form(text).unwrap_err();
            assert!(
                wrong.message.contains(said) || wrong.help.contains(said),
                "{text}: {wrong:?}"
            );
        }
    }
}
