//! The way of a lab without root to the outside: a program of the host's carries what leaves the lab in sockets of the user's own
//! (passt(1), slirp4netns(1)). It is in the lab's PID namespace, and ends with it.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::unistd::{AccessFlags, access};
use tokio::task::spawn_local;

use super::events::What;
use super::management::MAIN;
use super::state::Living;
use crate::failure::Failure;
use crate::kernel::error::Attempt as _;
use crate::kernel::netlink::Netlink;
use crate::kernel::process::{self, Child};
use crate::kernel::rootless::{self, Beside};
use crate::kernel::route;
use crate::kernel::sysctl::Sysctls;
use crate::kernel::user_namespace::Pair;
use crate::lab::plan::{NatStep, Plan};

/// The interface by which the lab reaches it, in what the lab has in the place of the host's network.
const INTERFACE: &str = "outside";
/// The network on that: of the range that RFC 6598 sets aside, beside the one that joins labs to hosts.
const NETWORK: &str = "100.126.255.0/24";
const ADDRESS: &str = "100.126.255.2";
const GATEWAY: &str = "100.126.255.1";
/// Where programs may be that users' PATHs do not name.
const ALSO: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// The variable by which users choose one, or none of them.
const CHOICE: &str = "NSLAB_OUTSIDE";
/// How long such a program may take to be ready.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// No more processes are looked at: it is among the first.
const MOST_PROCESSES: usize = 4096;
/// IPv4 and IPv6 for all interfaces.
const FORWARDING: [&str; 2] = ["net/ipv4/ip_forward", super::nat::ALL_V6];

/// A program that carries packets for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    kind: Kind,
    path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pasta,
    Slirp,
}

/// The one that this host has and the user wants, if there is any.
pub fn find() -> Option<Carrier> {
    let wanted = env::var_os(CHOICE).filter(|wanted| !wanted.is_empty());
    let path = env::var_os("PATH").unwrap_or_default();
    let named = env::split_paths(&path).filter(|directory| directory.is_absolute());
    let directories: Vec<PathBuf> = named.chain(ALSO.map(PathBuf::from)).collect();
    let kinds = [Kind::Pasta, Kind::Slirp].into_iter();
    let kinds = kinds.filter(|kind| wanted.as_ref().is_none_or(|wanted| wanted == kind.name()));
    let places = kinds.flat_map(|kind| {
        directories
            .iter()
            .map(move |directory| (kind, directory.join(kind.name())))
    });
    let mut carriers = places.map(|(kind, path)| Carrier { kind, path });
    carriers.find(|carrier| is_program(&carrier.path))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// A file that is there as long as the program is taken to run. It becomes the lab's network where the program is.
fn place(directory: &Path) -> PathBuf {
    directory.join("outside")
}

/// Why such a program could not reach a user's lab here, if that is known.
pub fn hindrance() -> Option<String> {
    if !rootless::is_rootless() {
        // Root can always; users can where everybody can.
        let mode = fs::metadata("/dev/net/tun").map_or(0, |found| found.mode());
        return (mode & 0o006 != 0o006).then(|| "users may not open /dev/net/tun".to_owned());
    }
    let tun = Path::new("/dev/net/tun");
    let opened = OpenOptions::new().read(true).write(true).open(tun);
    opened
        .err()
        .map(|error| format!("/dev/net/tun cannot be opened: {error}"))
}

/// The one for a lab without root that is to reach the outside.
pub fn wanted(plan: &Plan) -> Option<(Carrier, &NatStep)> {
    let nat = plan.host.as_ref()?.nat.as_ref()?;
    Some((find()?, nat))
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Pasta => "pasta",
            Kind::Slirp => "slirp4netns",
        }
    }
}

impl Carrier {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Its command line. Nothing of the host's loopback is reached by it, and nobody outside reaches the lab.
    fn words(&self, namespace: &Path, has_v6: bool) -> Vec<String> {
        let mut words = vec![self.path.display().to_string()];
        let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
        let namespace = namespace.display().to_string();
        match self.kind {
            Kind::Pasta => {
                add(&[
                    "--foreground",
                    "--quiet",
                    "--config-net",
                    "--ns-ifname",
                    INTERFACE,
                ]);
                add(&[
                    "--no-map-gw",
                    "--no-dhcp",
                    "-t",
                    "none",
                    "-u",
                    "none",
                    "-T",
                    "none",
                    "-U",
                    "none",
                ]);
                add(&["--address", ADDRESS, "--netmask", "24", "--gateway", GATEWAY]);
                add(if has_v6 { &[] } else { &["--ipv4-only"] });
                add(&["--netns", &namespace]);
            }
            Kind::Slirp => {
                add(&["--configure", "--disable-host-loopback", "--enable-sandbox"]);
                add(&["--cidr", NETWORK]);
                add(if has_v6 { &["--enable-ipv6"] } else { &[] });
                add(&["--netns-type=path", &namespace, INTERFACE]);
            }
        }
        words
    }

    /// To be done before the lab's first process is there, which looks for what is made here.
    ///
    /// # Errors
    /// The lab's directory cannot be written.
    pub fn prepare(&self, directory: &Path) -> Result<(), Failure> {
        let place = place(directory);
        Ok(fs::write(&place, "").attempt(|| format!("write {}", place.display()))?)
    }

    /// Starts it beside the first process of a lab, in whose directory it finds the network. What it says goes to `log`, and so does
    /// why it cannot be started: the lab then goes on without it, and says so.
    pub fn start(&self, nat: &NatStep, pair: &Pair, first: &Child, directory: &Path, log: &OwnedFd) {
        let started = self.try_start(nat, pair, first, directory, log);
        // From then on that it is not found means that it has ended.
        let noted = started.and_then(|()| {
            let place = place(directory);
            Ok(fs::write(&place, self.name()).attempt(|| format!("write {}", place.display()))?)
        });
        let Err(failure) = noted else {
            return;
        };
        let _ = fs::remove_file(place(directory));
        if let Ok(log) = log.try_clone() {
            let _ = writeln!(File::from(log), "{}: {failure}", self.path.display());
        }
    }

    fn try_start(
        &self,
        nat: &NatStep,
        pair: &Pair,
        first: &Child,
        directory: &Path,
        log: &OwnedFd,
    ) -> Result<(), Failure> {
        let place = place(directory);
        let has_v6 = nat.sources.iter().any(std::net::IpAddr::is_ipv6);
        let null = process::null()?;
        let beside = Beside {
            what: &format!("start {}", self.name()),
            pair,
            first: &first.pidfd,
            place: &place,
            words: &self.words(&place, has_v6),
            input: null.as_fd(),
            output: log.as_fd(),
        };
        Ok(rootless::beside(&beside)?)
    }
}

/// Waits until the outside is there, and lets the lab's packets pass.
///
/// # Errors
/// The kernel refuses.
pub async fn open(lab: &Rc<Living>, nat: &NatStep) -> Result<(), Failure> {
    let sysctls = Sysctls::usual()?;
    for (path, v4) in FORWARDING.into_iter().zip([true, false]) {
        if nat.sources.iter().any(|source| source.is_ipv4() == v4) {
            sysctls.write(path, "1")?;
        }
    }
    let end = Instant::now() + PATIENCE;
    let place = place(&lab.directory.path);
    while !is_there()? {
        let why = match state(&place) {
            Way::None => Some("no program carries its packets".to_owned()),
            Way::Ended(name) => Some(format!("{name} has ended")),
            Way::Coming | Way::Open(_) if Instant::now() > end => Some(format!(
                "there is no interface `{INTERFACE}` after {} s",
                PATIENCE.as_secs()
            )),
            Way::Coming | Way::Open(_) => None,
        };
        if let Some(why) = why {
            tell(lab, &format!("the lab does not reach the outside: {why}"));
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    let lab = Rc::clone(lab);
    spawn_local(async move {
        if let Way::Open(pid) = state(&place)
            && let Ok(end) = process::end_of(pid)
        {
            // One that took the number meanwhile is not found to be it.
            while matches!(state(&place), Way::Open(now) if now == pid) {
                if end.readable().await.is_err() {
                    return;
                }
            }
        }
        if let (Way::Ended(name), false) = (state(&place), *lab.stopping.borrow()) {
            tell(
                &lab,
                &format!("the lab no longer reaches the outside: {name} has ended"),
            );
        }
    });
    Ok(())
}

fn tell(lab: &Living, what: &str) {
    let log = lab.directory.supervisor_log();
    let message = format!("{what}; {} may say more", log.display());
    lab.tell(What::Notice { message });
}

/// What has become of the program that carries packets.
enum Way {
    /// There is none.
    None,
    /// It has not been started yet.
    Coming,
    /// It runs, with this number.
    Open(i32),
    /// It has ended: its name.
    Ended(String),
}

fn state(place: &Path) -> Way {
    let Ok(name) = fs::read_to_string(place) else {
        return Way::None;
    };
    match running(place) {
        _ if name.is_empty() => Way::Coming,
        Some(pid) => Way::Open(pid),
        None => Way::Ended(name),
    }
}

/// The process that was told of the place: what has ended has no command line.
fn running(place: &Path) -> Option<i32> {
    let is_it = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let place = place.as_os_str().as_bytes();
        line.split(|octet| *octet == 0).any(|word| word.ends_with(place))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.take(MOST_PROCESSES).find(is_it)
}

/// Whether there is a default route.
fn is_there() -> Result<bool, Failure> {
    let routes = route::list(&mut Netlink::open()?, true)?;
    Ok(routes
        .iter()
        .any(|route| route.table == MAIN && route.to.prefix_len() == 0 && !route.hops.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_host_is_reached_but_the_outside() {
        let words = |kind, has_v6| {
            let path = PathBuf::from("/x");
            let carrier = Carrier { kind, path };
            carrier.words(Path::new("/n"), has_v6).join(" ")
        };
        let pasta = words(Kind::Pasta, false);
        for word in [
            "--no-map-gw",
            "-t none -u none -T none -U none",
            "--ipv4-only",
            "--netns /n",
        ] {
            assert!(pasta.contains(word), "{pasta}");
        }
        assert!(!words(Kind::Pasta, true).contains("--ipv4-only"));
        assert!(words(Kind::Slirp, true).contains("--enable-ipv6"));
        assert!(words(Kind::Slirp, false).contains("--disable-host-loopback"));
    }
}
