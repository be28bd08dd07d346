//! System calls that a node's processes may not make (seccomp(2)), whatever capabilities they have.
//!
//! When a filter is attached, the kernel runs it once for each system call there is, to know those that it always allows; so
//! the number is looked for by halves, and what is allowed is found in a few steps.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::mem::offset_of;

use caps::Capability;
use libc::{c_long, sock_filter};
use nix::errno::Errno;

use super::capability::Capabilities;
use super::error::{Attempt, Error, Result};

/// Calls that reach past every namespace, and the capabilities of which one must be given to a node for it to make them.
/// The kernel asks for most of these capabilities itself. The filter keeps the calls from an engine that has SYS_ADMIN
/// beyond its node's rights, and from whatever finds an error in the kernel.
const GUARDED: [(&[Capability], &[c_long]); 11] = [
    (
        &[],
        &[
            libc::SYS_add_key,
            libc::SYS_keyctl,
            libc::SYS_request_key,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
            libc::SYS_io_uring_setup,
        ],
    ),
    (&[Capability::CAP_SYS_PTRACE], &[libc::SYS_userfaultfd]),
    (&[Capability::CAP_SYS_PACCT], &[libc::SYS_acct]),
    (&[Capability::CAP_BPF, ADMIN], &[libc::SYS_bpf]),
    (&[Capability::CAP_PERFMON, ADMIN], &[libc::SYS_perf_event_open]),
    (
        &[Capability::CAP_SYS_MODULE],
        &[
            libc::SYS_delete_module,
            libc::SYS_finit_module,
            libc::SYS_init_module,
        ],
    ),
    (
        &[Capability::CAP_SYS_BOOT],
        &[KEXEC_FILE_LOAD, libc::SYS_kexec_load, libc::SYS_reboot],
    ),
    (&[Capability::CAP_DAC_READ_SEARCH], &[libc::SYS_open_by_handle_at]),
    (&[Capability::CAP_SYSLOG, ADMIN], &[libc::SYS_syslog]),
    (&[Capability::CAP_SYS_TTY_CONFIG], &[libc::SYS_vhangup]),
    (
        &[ADMIN],
        &[
            libc::SYS_fanotify_init,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fsopen,
            libc::SYS_fspick,
            libc::SYS_lookup_dcookie,
            libc::SYS_mount,
            libc::SYS_mount_setattr,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_pivot_root,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_setdomainname,
            libc::SYS_sethostname,
            libc::SYS_setns,
            libc::SYS_swapoff,
            libc::SYS_swapon,
            libc::SYS_umount2,
        ],
    ),
];
/// Not every C library of every architecture names it.
const KEXEC_FILE_LOAD: c_long = if cfg!(target_arch = "x86_64") { 320 } else { 294 };
/// The newest call that this program knows: removexattrat(2), Linux 6.13. Those behind it, of which nobody has said whom they
/// are for, do not exist in nodes; programs expect that of older kernels. All architectures number new calls alike.
const NEWEST: u32 = 466;
const ADMIN: Capability = Capability::CAP_SYS_ADMIN;

/// Flags of clone(2) and unshare(2) that make namespaces.
const NAMESPACES: [libc::c_int; 8] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    // CLONE_NEWTIME; unshare(2) alone takes it, where clone(2) has the signal.
    0x80,
];

/// Types into a terminal as if its user had.
const TYPING: [u32; 2] = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32];
/// Sockets to the machine that this one is a guest of: they know no namespaces.
const GUESTS: [u32; 1] = [libc::AF_VSOCK as u32];

/// How the kernel calls the architecture whose calls these are (linux/audit.h); programs of others are ended.
const ARCHITECTURE: Option<u32> = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => Some(0xc000_003e),
    b"aarch64" => Some(0xc000_00b7),
    b"riscv64" => Some(0xc000_00f3),
    _ => None,
};

/// A compiled filter.
#[derive(Clone)]
pub struct Filter(Vec<sock_filter>);

impl Filter {
    /// The filter for nodes with these capabilities. Without any given, it is that of a privileged node: it keeps nothing
    /// but the terminals of those who visit the node.
    ///
    /// # Errors
    /// The machine's architecture has no filters.
    pub fn new(capabilities: Option<&Capabilities>) -> Result<Filter> {
        let architecture =
            ARCHITECTURE.ok_or_else(|| Error::new("compile the filter of system calls", Errno::ENOSYS))?;
        let mut program = vec![
            load(offset_of!(libc::seccomp_data, arch)),
            jump(libc::BPF_JEQ, architecture, 1, 0),
            result(libc::SECCOMP_RET_KILL_PROCESS),
            load(offset_of!(libc::seccomp_data, nr)),
        ];
        program.extend(search(&stretches(&answers(capabilities)))?);
        Ok(Filter(program))
    }

    /// Binds this thread, and everything it starts from now on, to the filter.
    ///
    /// # Errors
    /// Not permitted: that takes CAP_SYS_ADMIN.
    pub fn attach(&self) -> Result<()> {
        let program = libc::sock_fprog {
            len: self.0.len() as libc::c_ushort,
            filter: self.0.as_ptr().cast_mut().cast(),
        };
        // SAFETY: the kernel copies the program, which is alive here; sock_filter has the kernel's layout in both crates.
        let done = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                0,
                &raw const program,
            )
        };
        Errno::result(done)
            .map(drop)
            .attempt(|| "attach the filter of system calls")
    }
}

/// What is said to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Allowed,
    /// Not permitted.
    Refused,
    /// There is no such call.
    Missing,
    /// Not permitted where the argument of this number is one of these. The kernel takes such arguments as 32 bits, whatever
    /// stands above them.
    Unlike(usize, &'static [u32]),
    /// Not permitted where the first argument has one of these bits.
    Without(u32),
}

/// The answers to all calls that are not simply allowed; one for a number holds for those behind it as well if there is none
/// in between that says otherwise, see [`stretches`].
type Answers = BTreeMap<u32, Answer>;

fn answers(capabilities: Option<&Capabilities>) -> Answers {
    let mut answers = Answers::from([(number(libc::SYS_ioctl), Answer::Unlike(1, &TYPING))]);
    let Some(capabilities) = capabilities else {
        return answers;
    };
    let kept = GUARDED
        .iter()
        .filter(|(keys, _)| !keys.iter().any(|key| capabilities.contains(*key)));
    answers.extend(
        kept.flat_map(|(_, calls)| *calls)
            .map(|call| (number(*call), Answer::Refused)),
    );
    answers.insert(number(libc::SYS_socket), Answer::Unlike(0, &GUESTS));
    if !capabilities.contains(ADMIN) {
        let bits = |flags: &[libc::c_int]| flags.iter().fold(0, |all, flag| all | flag.cast_unsigned());
        answers.insert(number(libc::SYS_clone), Answer::Without(bits(&NAMESPACES[..7])));
        answers.insert(number(libc::SYS_unshare), Answer::Without(bits(&NAMESPACES)));
        // Its flags a filter cannot see; programs fall back to clone(2) where it does not exist.
        answers.insert(number(libc::SYS_clone3), Answer::Missing);
    }
    // Those of the x32 ABI are higher than all others.
    answers.insert(NEWEST + 1, Answer::Missing);
    answers
}

const fn number(call: c_long) -> u32 {
    call as u32
}

/// Where each stretch of numbers with the same answer begins, from 0 on. Behind the newest call all have the last answer.
fn stretches(answers: &Answers) -> Vec<(u32, Answer)> {
    let mut stretches = vec![(0, Answer::Allowed)];
    for (&number, &answer) in answers {
        if let Some(last) = stretches.last_mut().filter(|(first, _)| *first == number) {
            last.1 = answer;
        } else if stretches.last().is_none_or(|(_, before)| *before != answer) {
            stretches.push((number, answer));
        }
        if number <= NEWEST && !answers.contains_key(&(number + 1)) {
            stretches.push((number + 1, Answer::Allowed));
        }
    }
    stretches
}

/// Where a comparison leads.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// To the comparison of this number.
    Comparison(usize),
    /// To the program of this number.
    Answer(usize),
}

/// A comparison with the number where the upper half of the stretches begins: the ways to the lower and to the upper half.
type Comparison = (u32, Way, Way);

/// Finds the stretch of the number that was loaded, and answers. Each answer is there once, behind all comparisons.
///
/// # Errors
/// The filter is longer than a conditional jump.
fn search(stretches: &[(u32, Answer)]) -> Result<Vec<sock_filter>> {
    let (mut comparisons, mut answers) = (Vec::new(), Vec::new());
    compare(stretches, &mut comparisons, &mut answers);
    let programs: Vec<_> = answers.iter().map(|answer| answer.program()).collect();
    let behind: Vec<usize> = programs
        .iter()
        .scan(comparisons.len(), |at, program| {
            let here = *at;
            *at += program.len();
            Some(here)
        })
        .collect();
    let mut filter = Vec::new();
    for (at, (first, low, high)) in comparisons.iter().enumerate() {
        let offset = |way: &Way| {
            let target = match *way {
                Way::Comparison(number) => number,
                Way::Answer(number) => behind[number],
            };
            u8::try_from(target - at - 1)
                .map_err(|_| Error::new("compile the filter of system calls", Errno::E2BIG))
        };
        filter.push(jump(libc::BPF_JGE, *first, offset(high)?, offset(low)?));
    }
    filter.extend(programs.into_iter().flatten());
    Ok(filter)
}

/// Adds the comparisons that find a stretch, and the answers that are not there yet.
fn compare(stretches: &[(u32, Answer)], comparisons: &mut Vec<Comparison>, answers: &mut Vec<Answer>) -> Way {
    if let [(_, answer)] = stretches {
        let known = answers.iter().position(|known| known == answer);
        return Way::Answer(known.unwrap_or_else(|| {
            answers.push(*answer);
            answers.len() - 1
        }));
    }
    let (low, high) = stretches.split_at(stretches.len() / 2);
    let here = comparisons.len();
    comparisons.push((high[0].0, Way::Answer(0), Way::Answer(0)));
    let ways = (
        compare(low, comparisons, answers),
        compare(high, comparisons, answers),
    );
    (comparisons[here].1, comparisons[here].2) = ways;
    Way::Comparison(here)
}

impl Answer {
    fn program(self) -> Vec<sock_filter> {
        let refused = result(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
        let allowed = result(libc::SECCOMP_RET_ALLOW);
        match self {
            Answer::Allowed => vec![allowed],
            Answer::Refused => vec![refused],
            Answer::Missing => vec![result(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32)],
            Answer::Unlike(number, values) => {
                let tests = (1..=values.len() as u8).rev().zip(values);
                let tests = tests.map(|(behind, value)| jump(libc::BPF_JEQ, *value, behind, 0));
                let load = load_argument(number);
                std::iter::once(load)
                    .chain(tests)
                    .chain([allowed, refused])
                    .collect()
            }
            Answer::Without(bits) => {
                vec![
                    load_argument(0),
                    jump(libc::BPF_JSET, bits, 1, 0),
                    allowed,
                    refused,
                ]
            }
        }
    }
}

fn load_argument(number: usize) -> sock_filter {
    // Of 64 bits, the low half.
    let half = if cfg!(target_endian = "big") {
        size_of::<u32>()
    } else {
        0
    };
    load(offset_of!(libc::seccomp_data, args) + number * size_of::<u64>() + half)
}

fn load(offset: usize) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset as u32, 0, 0)
}

fn jump(comparison: u32, value: u32, then: u8, otherwise: u8) -> sock_filter {
    instruction(libc::BPF_JMP | comparison | libc::BPF_K, value, then, otherwise)
}

fn result(value: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, value, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel makes of a filter (the instructions that are used here), and in how many steps.
    fn run(filter: &Filter, arch: u32, call: u32, args: [u64; 2]) -> (u32, usize) {
        let (mut at, mut loaded, mut steps) = (0, 0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = filter.0[at];
            let (code, mut jump) = (u32::from(code), |yes| {
                at += usize::from(if yes { jt } else { jf })
            });
            match code & 0x07 {
                libc::BPF_LD => {
                    loaded = match k {
                        0 => call,
                        4 => arch,
                        16 => args[0] as u32,
                        24 => args[1] as u32,
                        _ => panic!("nothing is loaded from {k}"),
                    }
                }
                libc::BPF_RET => return (k, steps),
                libc::BPF_JMP => match code & 0xf0 {
                    libc::BPF_JEQ => jump(loaded == k),
                    libc::BPF_JGE => jump(loaded >= k),
                    libc::BPF_JSET => jump(loaded & k != 0),
                    other => panic!("no comparison: {other}"),
                },
                other => panic!("no instruction: {other}"),
            }
            (at, steps) = (at + 1, steps + 1);
        }
    }

    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
    const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const MISSING: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    /// What a node has unless its file says otherwise.
    const USUAL: [&str; 4] = ["CHOWN", "NET_ADMIN", "NET_RAW", "SYS_CHROOT"];

    /// A privileged node, one without capabilities, one with the usual ones, one with all, and one for each.
    fn nodes() -> Vec<Option<Capabilities>> {
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Some(Capabilities::named(&names))
        };
        let all: Vec<String> = caps::all().iter().map(|it| it.to_string()).collect();
        let all: Vec<&str> = all.iter().filter_map(|name| name.strip_prefix("CAP_")).collect();
        [None, named(&[]), named(&USUAL), named(&all)]
            .into_iter()
            .chain(all.iter().map(|one| named(&[one])))
            .collect()
    }

    #[test]
    fn each_call_has_its_answer() {
        for node in nodes() {
            let filter = Filter::new(node.as_ref()).unwrap();
            let answer = |call, args| run(&filter, ARCHITECTURE.unwrap(), call, args).0;
            for call in 0..2 * NEWEST {
                let guarded = GUARDED
                    .iter()
                    .find(|(_, calls)| calls.contains(&c_long::from(call)));
                let expected = match &node {
                    None => ALLOWED,
                    Some(_) if call > NEWEST => MISSING,
                    Some(node) => match guarded {
                        Some((keys, _)) if !keys.iter().any(|key| node.contains(*key)) => REFUSED,
                        None if number(libc::SYS_clone3) == call && !node.contains(ADMIN) => MISSING,
                        _ => ALLOWED,
                    },
                };
                assert_eq!(answer(call, [0, 0]), expected, "{call} in {node:?}");
            }
            // The x32 ABI, and numbers below zero.
            let high = if node.is_some() { MISSING } else { ALLOWED };
            assert_eq!(answer(0x4000_0000 + number(libc::SYS_read), [0, 0]), high);
            assert_eq!(answer(u32::MAX, [0, 0]), high);
        }
    }

    #[test]
    fn arguments_are_looked_at_as_the_kernel_takes_them() {
        const ABOVE: u64 = 0xdead_beef << 32;
        for node in nodes() {
            let filter = Filter::new(node.as_ref()).unwrap();
            let answer = |call, args| run(&filter, ARCHITECTURE.unwrap(), number(call), args).0;
            for request in TYPING {
                assert_eq!(answer(libc::SYS_ioctl, [0, ABOVE | u64::from(request)]), REFUSED);
                assert_eq!(answer(libc::SYS_ioctl, [0, u64::from(request) + 1]), ALLOWED);
            }
            let guests = if node.is_some() { REFUSED } else { ALLOWED };
            assert_eq!(
                answer(libc::SYS_socket, [ABOVE | libc::AF_VSOCK as u64, 0]),
                guests
            );
            assert_eq!(answer(libc::SYS_socket, [libc::AF_INET as u64, 0]), ALLOWED);
            let makes_namespaces = node.as_ref().is_none_or(|node| node.contains(ADMIN));
            let namespaces = if makes_namespaces { ALLOWED } else { REFUSED };
            for flag in NAMESPACES {
                let flag = ABOVE | u64::from(flag.cast_unsigned() | libc::CLONE_FS as u32);
                assert_eq!(answer(libc::SYS_unshare, [flag, 0]), namespaces);
                let is_signal = flag & 0x80 != 0;
                assert_eq!(
                    answer(libc::SYS_clone, [flag, 0]),
                    if is_signal { ALLOWED } else { namespaces }
                );
            }
            let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::SIGCHLD) as u64;
            assert_eq!(answer(libc::SYS_clone, [thread, 0]), ALLOWED);
        }
    }

    #[test]
    fn programs_of_other_architectures_are_ended() {
        for node in nodes() {
            let filter = Filter::new(node.as_ref()).unwrap();
            assert_eq!(
                run(&filter, 0x4000_0003, 0, [0, 0]).0,
                libc::SECCOMP_RET_KILL_PROCESS
            );
        }
    }

    #[test]
    fn filters_are_short_and_soon_through() {
        for node in nodes() {
            let filter = Filter::new(node.as_ref()).unwrap();
            assert!(filter.0.len() < 128, "{}", filter.0.len());
            for call in 0..2 * NEWEST {
                let (_, steps) = run(&filter, ARCHITECTURE.unwrap(), call, [0, 0]);
                assert!(steps < 16, "{steps} for {call}");
            }
        }
    }
}
