//! System calls that a node's processes may not make (seccomp(2)), whatever capabilities they have.
//!
//! Compiled by `seccompiler`, a crate of the rust-vmm project. Its filters know one answer, and programs of another
//! architecture are killed; what needs another answer stands in front of them here.
#![allow(unsafe_code)]

use std::collections::BTreeMap;

use caps::Capability;
use libc::c_long;
use nix::errno::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use super::capability::Capabilities;
use super::error::{Attempt, Error, Result};

/// Calls that reach past every namespace, and the capabilities of which one must be given to a node for it to make them.
/// The kernel asks for most of these capabilities itself. The filter keeps the calls from an engine that has SYS_ADMIN
/// beyond its node's rights, and from whatever finds a mistake in the kernel.
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
const TYPING: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// A compiled filter.
#[derive(Clone)]
pub struct Filter(BpfProgram);

impl Filter {
    /// The filter for nodes with these capabilities. Without any given, it is that of a privileged node: it keeps nothing
    /// but the terminals of those who visit the node.
    ///
    /// # Errors
    /// The machine's architecture has no filters.
    pub fn new(capabilities: Option<&Capabilities>) -> Result<Filter> {
        let what = || "compile the filter of system calls";
        let unsupported = |_| Error::new(what(), Errno::ENOSYS);
        let arch: TargetArch = std::env::consts::ARCH
            .try_into()
            .map_err(|_| Error::new(what(), Errno::ENOSYS))?;
        let denied = SeccompAction::Errno(libc::EPERM as u32);
        let filter = SeccompFilter::new(rules(capabilities)?, SeccompAction::Allow, denied, arch);
        let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(unsupported)?;
        let mut whole = capabilities.map(prelude).unwrap_or_default();
        whole.extend(program);
        Ok(Filter(whole))
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

/// An answer that is not "not permitted": programs that ask for clone3(2), whose flags a filter cannot see, fall back to
/// clone(2) where it is said not to exist. Neither do calls that are newer than this program, nor those of the x32 ABI, whose
/// numbers are higher than all others.
fn prelude(capabilities: &Capabilities) -> Vec<sock_filter> {
    const LOAD_NUMBER: sock_filter = statement((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0);
    let missing = || {
        statement(
            (libc::BPF_RET | libc::BPF_K) as u16,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        )
    };
    let jump = |comparison: u32, number: u32| sock_filter {
        code: (libc::BPF_JMP | comparison | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k: number,
    };
    let mut prelude = vec![LOAD_NUMBER, jump(libc::BPF_JGT, NEWEST), missing()];
    if !capabilities.contains(ADMIN) {
        prelude.extend([jump(libc::BPF_JEQ, libc::SYS_clone3 as u32), missing()]);
    }
    prelude
}

const fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn rules(capabilities: Option<&Capabilities>) -> Result<Rules> {
    let mut rules = Rules::new();
    let typing = TYPING.iter().map(|request| equal(1, *request));
    rules.insert(libc::SYS_ioctl, typing.collect::<Result<_>>()?);
    let Some(capabilities) = capabilities else {
        return Ok(rules);
    };
    let kept = GUARDED
        .iter()
        .filter(|(keys, _)| !keys.iter().any(|key| capabilities.contains(*key)));
    rules.extend(kept.flat_map(|(_, calls)| *calls).map(|call| (*call, Vec::new())));
    // Sockets to the machine that this one is a guest of: they know no namespaces.
    rules.insert(libc::SYS_socket, vec![equal(0, libc::AF_VSOCK as u64)?]);
    if !capabilities.contains(ADMIN) {
        for (call, flags) in [
            (libc::SYS_clone, &NAMESPACES[..7]),
            (libc::SYS_unshare, &NAMESPACES),
        ] {
            let flags = flags
                .iter()
                .map(|flag| has_bit(0, u64::from(flag.cast_unsigned())));
            rules.insert(call, flags.collect::<Result<_>>()?);
        }
    }
    Ok(rules)
}

fn equal(argument: u8, value: u64) -> Result<SeccompRule> {
    rule(argument, SeccompCmpOp::Eq, value)
}

fn has_bit(argument: u8, bit: u64) -> Result<SeccompRule> {
    rule(argument, SeccompCmpOp::MaskedEq(bit), bit)
}

/// The kernel takes these arguments as 32 bits, whatever stands above them.
fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    let wrong = |_| Error::new("compile the filter of system calls", Errno::EINVAL);
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    SeccompRule::new(vec![condition.map_err(wrong)?]).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_short_enough_for_the_kernel() {
        let none = Capabilities::default();
        let admin = Capabilities::named(&["SYS_ADMIN".to_owned()]);
        for capabilities in [None, Some(&none), Some(&admin)] {
            let filter = Filter::new(capabilities).unwrap();
            assert!(filter.0.len() < libc::BPF_MAXINSNS as usize);
        }
    }
}
