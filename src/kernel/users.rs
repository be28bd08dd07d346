//! Users and groups by name, read from the files themselves (passwd(5), group(5)): the C library's look-up
//! loads plugins, which a static binary in a strange root must not.

use std::io::Read as _;
use std::path::Path;

use super::file;

/// No more of such a file is read, in bytes: root in a node may put what it likes in its place.
const LONGEST: u64 = 4 << 20;

/// A user as a program is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
    /// Numbers of further groups.
    pub groups: Vec<u32>,
    /// Login name, if the user has one.
    pub name: Option<String>,
    /// Home directory.
    pub home: String,
}

/// Looks a user up by name or number in the /etc below `root`, with another group where one follows a colon. A number needs no
/// entry.
pub fn user(root: &Path, wanted: &str) -> Option<User> {
    if let Some((wanted, group)) = wanted.split_once(':') {
        let gid = self::group(root, group)?;
        return user(root, wanted).map(|user| User { gid, ..user });
    }
    let passwd = read(&root.join("etc/passwd"));
    let group = read(&root.join("etc/group"));
    parse_user(&passwd, &group, wanted)
}

/// The text of a regular file. There is none in anything else, which is not waited for either.
fn read(path: &Path) -> String {
    let Ok(file) = file::open(path) else {
        return String::new();
    };
    let mut bytes = Vec::new();
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        let _ = file.take(LONGEST).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn parse_user(passwd: &str, group: &str, wanted: &str) -> Option<User> {
    let number = wanted.parse::<u32>().ok();
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let &[name, _, uid, gid, _, home, ..] = fields.as_slice() else {
            continue;
        };
        let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else {
            continue;
        };
        if name == wanted || number == Some(uid) {
            let groups = memberships(group, name);
            return Some(User {
                uid,
                gid,
                groups,
                name: Some(name.to_owned()),
                home: home.to_owned(),
            });
        }
    }
    // As container runtimes have it: what images give to users of any number belongs to the group 0.
    number.map(|uid| User {
        uid,
        gid: 0,
        groups: Vec::new(),
        name: None,
        home: "/".to_owned(),
    })
}

fn memberships(group: &str, user: &str) -> Vec<u32> {
    group
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let &[_, _, gid, members] = fields.as_slice() else {
                return None;
            };
            members
                .split(',')
                .any(|member| member == user)
                .then(|| gid.parse().ok())?
        })
        .collect()
}

/// Looks a group up by name or number in the /etc below `root`.
pub fn group(root: &Path, wanted: &str) -> Option<u32> {
    if let Ok(number) = wanted.parse() {
        return Some(number);
    }
    let group = read(&root.join("etc/group"));
    group.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == wanted).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nbroken\nfrr:x:102:106:Frr,,,:/nonexistent:/bin/false\n";
    const GROUP: &str = "root:x:0:\nfrrvty:x:105:frr,ann\nfrr:x:106:\n";

    #[test]
    fn what_is_no_file_has_no_users() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        for name in ["passwd", "group"] {
            nix::unistd::mkfifo(&etc.join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        assert_eq!(user(root.path(), "frr"), None);
        assert_eq!(group(root.path(), "frr"), None);
        std::fs::remove_file(etc.join("passwd")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", etc.join("passwd")).unwrap();
        assert_eq!(user(root.path(), "frr"), None);
        std::fs::remove_file(etc.join("passwd")).unwrap();
        std::fs::write(etc.join("passwd"), PASSWD).unwrap();
        assert_eq!(user(root.path(), "frr").unwrap().uid, 102);
    }

    #[test]
    fn a_group_may_follow_a_user() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join("passwd"), PASSWD).unwrap();
        std::fs::write(etc.join("group"), GROUP).unwrap();
        let found = |wanted| user(root.path(), wanted).map(|user| (user.uid, user.gid));
        assert_eq!(found("1000:1001"), Some((1000, 1001)));
        assert_eq!(found("frr:frrvty"), Some((102, 105)));
        assert_eq!(found("frr:nosuch"), None);
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let frr = parse_user(PASSWD, GROUP, "frr").unwrap();
        assert_eq!((frr.uid, frr.gid, frr.groups.as_slice()), (102, 106, &[105][..]));
        assert_eq!(
            parse_user(PASSWD, GROUP, "102").unwrap().name.as_deref(),
            Some("frr")
        );
        let unknown = parse_user(PASSWD, GROUP, "4711").unwrap();
        assert_eq!((unknown.uid, unknown.gid), (4711, 0));
        assert_eq!(parse_user(PASSWD, GROUP, "nobody"), None);
    }
}
