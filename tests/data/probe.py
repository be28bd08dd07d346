#!/usr/bin/env python3
"""Tries what root in a node may want to do to the host, and prints a JSON object: what was tried, and whether it worked.

Nothing is damaged where something works: files are opened and not written, or what was read is written back.

usage: probe.py HOST_SHADOW_SHA256 HOST_SOCKET HOST_PATH...
"""

import ctypes
import errno
import hashlib
import json
import os
import platform
import socket
import stat
import struct
import sys
import tempfile

libc = ctypes.CDLL(None, use_errno=True)
SHADOW, SOCKET = sys.argv[1:3]
# What the host has in /root and /home, as paths.
HOMES = sys.argv[3:]
X86 = platform.machine() == "x86_64"
# System calls' numbers: x86_64, and those all other architectures share.
NUMBERS = {
    "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "clone3": (435, 435), "init_module": (175, 105),
    "kexec_load": (246, 104), "keyctl": (250, 219), "open_by_handle_at": (304, 265), "perf_event_open": (298, 241),
    "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142), "setns": (308, 268), "settimeofday": (164, 170),
    "swapon": (167, 224), "syslog": (103, 116), "unshare": (272, 97), "io_uring_setup": (425, 425),
}


def call(name, *arguments):
    """A system call by number: its result, or minus the error number."""
    ctypes.set_errno(0)
    result = libc.syscall(NUMBERS[name][0 if X86 else 1], *arguments)
    return result if result >= 0 else -ctypes.get_errno()


def permitted(result):
    """Whether a call that cannot succeed failed for another reason than rights."""
    return result not in (-errno.EPERM, -errno.EACCES, -errno.ENOSYS)


def opens(path, flags=os.O_RDONLY):
    os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))
    return True


def any_opens(paths, flags):
    """Whether one of those that are there opens."""
    for path in filter(os.path.lexists, paths):
        try:
            opens(path, flags)
        except OSError:
            continue
        if os.path.realpath(path) != "/dev/null" and not stat.S_ISCHR(os.stat(path).st_mode):
            return True
    return False


def rewrites(path):
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    text = os.read(fd, 4096)
    os.lseek(fd, 0, 0)
    return os.write(fd, text) == len(text)


def any_rewrites(*paths):
    for path in filter(os.path.exists, paths):
        try:
            if rewrites(path):
                return True
        except OSError:
            pass
    return False


def writable_below(top, skip, most=20000):
    """Whether some file there that has a writer's permission can be opened for writing."""
    seen = 0
    for directory, names, files in os.walk(top):
        # Numbers are processes, which come and go.
        names[:] = [name for name in names if os.path.join(directory, name) not in skip and not name.isdigit()]
        for name in files:
            seen += 1
            path = os.path.join(directory, name)
            try:
                mode = os.lstat(path).st_mode
                # A masked file is a device that takes everything and keeps nothing.
                if stat.S_ISREG(mode) and mode & 0o222 and opens(path, os.O_WRONLY):
                    return True
            except OSError:
                pass
            if seen > most:
                return False
    return False


def shadow():
    with open("/etc/shadow", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest() == SHADOW


def closed_files():
    """Files of the host's that other users of it cannot read."""
    for directory, _, files in os.walk("/etc"):
        for name in files:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            spared = path.startswith(("/etc/sudoers", "/etc/frr/", "/etc/shadow"))
            if stat.S_ISREG(status.st_mode) and not status.st_mode & 0o004 and not spared:
                return True
    return False


def homes():
    return any(os.path.lexists(path) for path in HOMES) if HOMES else None


def connects():
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(2)
    one.connect(SOCKET)
    return True


def device(kind, numbers):
    path = tempfile.mktemp(dir="/dev")
    os.mknod(path, kind | 0o600, os.makedev(*numbers))
    try:
        return opens(path)
    finally:
        os.unlink(path)


def disk():
    with open("/proc/partitions") as file:
        rows = [line.split() for line in file][2:]
    return device(stat.S_IFBLK, (int(rows[0][0]), int(rows[0][1]))) if rows else None


def by_handle():
    class Handle(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_ubyte * 8)]

    # The inode 2 is the root of many file systems.
    handle = Handle(8, 1, (ctypes.c_ubyte * 8)(*struct.pack("II", 2, 0)))
    directory = os.open("/", os.O_RDONLY)
    return permitted(call("open_by_handle_at", directory, ctypes.byref(handle), os.O_RDONLY | os.O_DIRECTORY))


def mounts(kinds):
    place = tempfile.mkdtemp()
    for kind in kinds:
        if libc.mount(b"none", place.encode(), kind, 0, None) == 0:
            libc.umount2(place.encode(), 2)
            return True
    return False


def new_namespace(flags):
    child = os.fork()
    if child == 0:
        os._exit(0 if call("unshare", flags) == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


def looks_into_init():
    for name in ("root", "cwd", "fd/0", "exe", "ns/net"):
        try:
            os.readlink("/proc/1/" + name)
            return True
        except OSError:
            pass
    return False


def program(kind):
    """Loads a BPF program that returns 0."""
    code = ctypes.create_string_buffer(struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    request = struct.pack("IIQQIIQII", kind, 2, ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0)
    attributes = ctypes.create_string_buffer(request + b"\0" * 80)
    return call("bpf", 5, attributes, 128) >= 0


def counts_events():
    attributes = ctypes.create_string_buffer(struct.pack("IIQQQQ", 1, 112, 0, 0, 0, 0) + b"\0" * 80)
    return call("perf_event_open", attributes, -1, 0, -1, 0) >= 0


def types():
    import fcntl
    import termios
    _, line = os.openpty()
    child = os.fork()
    if child == 0:
        os.setsid()
        try:
            fcntl.ioctl(line, termios.TIOCSCTTY, 0)
            fcntl.ioctl(line, termios.TIOCSTI, b"x")
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def guest_socket():
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    return True

def changes_script():
    """Whether what takes the place of FRR's script in this node is run with a right that this process lacks."""
    def has_admin(path):
        with open(path) as status:
            return any(int(line.split()[1], 16) & 1 << 21 for line in status if line.startswith("CapEff"))

    directory, said = "/usr/lib/frr/", "/tmp/rights"
    if not os.path.exists("/run/nslab.frr/pid") or has_admin("/proc/self/status"):
        return None
    kept = {}
    for name in os.listdir(directory):
        if "nslab" in name or "-of-frr" in name:
            with open(directory + name) as script:
                kept[name] = script.read()
            os.unlink(directory + name)
            with open(directory + name, "w") as script:
                script.write(f"#!/bin/sh\ncat /proc/self/status >> {said}\n")
            os.chmod(directory + name, 0o755)
    # FRR runs: its own script says so.
    os.system("timeout 60 /usr/lib/frr/frrinit.sh start >/dev/null 2>&1")
    for name, text in kept.items():
        with open(directory + name, "w") as script:
            script.write(text)
    return os.path.exists(said) and has_admin(said)


def changes_what_script_reads():
    """Whether what FRR's script reads in this node is run with a right that this process lacks."""
    common, said = "/usr/lib/frr/frrcommon.sh", "/tmp/read-rights"
    if not os.path.exists("/run/nslab.frr/pid") or not os.path.exists(common):
        return None
    with open(common) as script:
        kept = script.read()
    with open(common, "a") as script:
        script.write(f"\ngrep CapEff /proc/self/status >> {said}\n")
    os.system("timeout 60 /usr/lib/frr/frrinit.sh start >/dev/null 2>&1")
    with open(common, "w") as script:
        script.write(kept)
    with open(said) as lines:
        return any(int(line.split()[1], 16) & 1 << 21 for line in lines)


USER, NET, MOUNT = 0x10000000, 0x40000000, 0x00020000
OWN_NETWORK = ("/proc/sys/net", "/proc/self", "/proc/thread-self", "/proc/net") + tuple(
    "/proc/" + name for name in os.listdir("/proc") if name.isdigit())
TRIES = {
    "read the host's passwords (/etc/shadow)": shadow,
    "read other files of /etc that only root may read": closed_files,
    "see what is in /root and /home": homes,
    "speak with a Unix socket of the host's file system": connects,
    "open files of the host by handle (open_by_handle_at)": by_handle,
    "look into the node's first process (/proc/1/root, fd, exe)": looks_into_init,
    "attach to the node's first process (ptrace)": lambda: call("ptrace", 16, 1, 0, 0) == 0,
    "write the kernel's sysctls (kernel, vm, fs)": lambda: any_rewrites(
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/swappiness",
        "/proc/sys/fs/file-max", "/proc/sys/kernel/hostname"),
    "write sysctls of networks that are the machine's (nf_hooks_lwtunnel)": lambda: any_opens(
        ["/proc/sys/net/netfilter/nf_hooks_lwtunnel"], os.O_WRONLY),
    "write other files of /proc about the machine": lambda: writable_below("/proc", OWN_NETWORK),
    "read the kernel's memory and pages (/proc/kcore, /proc/kpageflags)": lambda: any_opens(
        ["/proc/kcore", "/proc/kpageflags", "/proc/kpagecount", "/proc/kmsg"], os.O_RDONLY),
    "write files of /sys but those of its own interfaces": lambda: writable_below("/sys", ("/sys/devices/virtual/net",)),
    "read the kernel's log": lambda: permitted(call("syslog", 10, 0, 0)) or opens("/dev/kmsg"),
    "make device files (the host's disk)": disk,
    "make device files (/dev/mem)": lambda: device(stat.S_IFCHR, (1, 1)),
    "mount a file system": lambda: mounts([b"tmpfs", b"proc", b"sysfs"]),
    "mount what the kernel shows of itself (debugfs, tracefs, bpf)": lambda: mounts(
        [b"debugfs", b"tracefs", b"bpf", b"securityfs", b"configfs"]),
    "mount cgroups": lambda: mounts([b"cgroup2", b"cgroup"]),
    "get SYS_ADMIN by changing the script that starts FRR": changes_script,
    "get SYS_ADMIN, with its calls refused, by changing what FRR's script reads": changes_what_script_reads,
    "make a user namespace": lambda: new_namespace(USER),
    "make other namespaces": lambda: new_namespace(NET) or new_namespace(MOUNT),
    "use the host's keys (keyctl)": lambda: permitted(call("keyctl", 0, -4, 0)),
    "load BPF programs": lambda: program(1) or program(2) or program(6),
    "count events of the machine (perf)": counts_events,
    "load kernel modules": lambda: permitted(call("init_module", b"xxxx", 4, b"")),
    "load another kernel (kexec)": lambda: permitted(call("kexec_load", 0, 0, None, 1 << 20)),
    "restart the machine (reboot)": lambda: permitted(call("reboot", 0, 0, 0)),
    "set the clock": lambda: call("settimeofday", None, None) == 0,
    "account for processes, set quotas, swap": lambda: any(
        permitted(result) for result in (call("acct", b"/no/such"), call("swapon", b"/no/such", 0))),
    "use io_uring": lambda: permitted(call("io_uring_setup", 0, None)),
    "type into a terminal (TIOCSTI)": types,
    "speak with the machine's own host (AF_VSOCK)": guest_socket,
    # What it may do.
    "write the sysctls of its own network": lambda: rewrites("/proc/sys/net/ipv4/ip_forward"),
    "write files of its own interfaces (/sys/class/net)": lambda: rewrites("/sys/class/net/lo/mtu"),
    "make interfaces, routes and rules (NET_ADMIN)": lambda: os.system("ip link add probe type bridge && ip link del probe") == 0,
    "open raw sockets (NET_RAW)": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close() is None,
    "write any file of its own root": lambda: opens("/usr/probe", os.O_WRONLY | os.O_CREAT),
    "become another user": lambda: os.system("setpriv --reuid 65534 --clear-groups true") == 0,
}


def outcome(attempt):
    try:
        return attempt()
    except OSError:
        return False


print(json.dumps({what: outcome(attempt) for what, attempt in TRIES.items()}))
