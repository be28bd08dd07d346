/*
 * The yardstick of scripts/bench: a ring of N nodes made with raw netlink and nothing else.
 *
 *   bare ring N [--forward]
 *       N network namespaces with eight sysctls each, N veth pairs (node i "right" to node i+1 "left") made straight
 *       inside the two namespaces they join, everything raised and addressed. Prints one line of JSON (the times, and the
 *       descriptors of the namespaces), waits for a line (or the end) of its input or for a signal, and lets everything
 *       go at once by dying.
 *   bare nodes N [--plain] [--no-ipc]
 *       N nodes with a process each: a network namespace as in the ring, PID, mount, UTS, IPC and cgroup namespaces, a root
 *       (an overlay on the host's, /proc, /sys, /dev) with what is the host's masked in it, an init, and `sleep infinity`
 *       started by that. Without links and cgroups. With --plain nothing is masked, with --no-ipc the IPC namespace is the
 *       host's. Prints the time until every process is executed, and ends as the ring does.
 *   bare routes PID...
 *       Takes all IPv4 routes of BGP's out of the network namespaces of these processes and puts the same in again, in batches,
 *       on two threads. Prints how many there are, and the time of the latter.
 *   bare watch NAME...
 *       Prints "watching", then, once all named interfaces have left this network namespace and the kernel has let go
 *       of the lock they were removed under, the time (CLOCK_MONOTONIC, nanoseconds).
 *   bare spawn RUNS COMMAND... [::: COMMAND...]...
 *       Runs the commands in turn, RUNS times each, and prints the median of each in microseconds, spawn to wait.
 *
 * gcc -O2 -Wall -Wextra -pthread -o bare bare.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/mount.h>
#include <linux/veth.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* ---- netlink: a batch is a buffer of messages, sent at once; only the last asks for an acknowledgement ---- */

struct batch {
	char data[32768];
	size_t used;
	struct nlmsghdr *last;
	uint32_t seq;
};

static void message(struct batch *b, int type, int flags, const void *body, size_t size)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(b->data + b->used);

	memset(h, 0, sizeof *h);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_len = NLMSG_LENGTH(size);
	h->nlmsg_seq = ++b->seq;
	memcpy(NLMSG_DATA(h), body, size);
	b->last = h;
	b->used += NLMSG_SPACE(size);
}

static struct rtattr *attribute(struct batch *b, int type, const void *value, size_t size)
{
	struct rtattr *a = (struct rtattr *)(b->data + b->used);

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(a), value, size);
	b->used += RTA_SPACE(size);
	b->last->nlmsg_len = b->data + b->used - (char *)b->last;
	return a;
}

/* Ends a nested attribute: everything since it began is its value. */
static void nested(struct batch *b, struct rtattr *a)
{
	a->rta_len = b->data + b->used - (char *)a;
}

/* Sends, and reads until the last message is acknowledged. Every failure answers, asked or not. */
static void commit(struct batch *b, int sock)
{
	char answer[65536];

	if (!b->used)
		return;
	b->last->nlmsg_flags |= NLM_F_ACK;
	if (send(sock, b->data, b->used, 0) != (ssize_t)b->used)
		die("netlink send");
	for (int done = 0; !done;) {
		ssize_t got = recv(sock, answer, sizeof answer, 0);
		if (got < 0)
			die("netlink receive");
		for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, (size_t)got); h = NLMSG_NEXT(h, got)) {
			struct nlmsgerr *e = NLMSG_DATA(h);
			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			if (e->error) {
				fprintf(stderr, "netlink message %u: %s\n", h->nlmsg_seq, strerror(-e->error));
				exit(1);
			}
			done |= h->nlmsg_seq == b->seq;
		}
	}
	b->used = 0;
}

static int netlink_socket(unsigned groups)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (sock < 0 || (groups && bind(sock, (void *)&address, sizeof address)))
		die("netlink socket");
	return sock;
}

/* ---- the ring ---- */

struct node {
	int space; /* the namespace */
	int sock;  /* netlink, inside it */
};

static struct node *nodes;
static int count, forward;

/* Interface indexes are given, and no two in the ring are equal: equal indexes at both ends delay the carrier. */
static int right_index(int i) { return 2 + 2 * i; }
static int left_index(int i) { return 3 + 2 * ((i + count - 1) % count); }

/*
 * Makes a /proc of its own, mounted nowhere. Linux keeps the names below /proc/sys/net of all namespaces in one hash
 * chain a /proc, and walks it on every open: with 1,000 namespaces on one /proc that is a third of the time.
 */
static int fresh_proc(void)
{
	int fs = syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		die("fsopen proc");
	int proc = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (proc < 0)
		die("fsmount proc");
	close(fs);
	return proc;
}

/* Linux copies some of these from the host, so a lab writes them all. */
static void sysctls(int proc)
{
	const struct { const char *path, *value; } all[] = {
		{ "sys/net/ipv4/ip_forward", forward ? "1" : "0" },
		{ "sys/net/ipv6/conf/all/forwarding", "0" },
		{ "sys/net/ipv4/conf/all/rp_filter", "0" },
		{ "sys/net/ipv4/conf/default/rp_filter", "0" },
		{ "sys/net/ipv4/conf/all/arp_ignore", "0" },
		{ "sys/net/ipv4/conf/default/arp_ignore", "0" },
		{ "sys/net/ipv6/conf/all/accept_dad", "0" },
		{ "sys/net/ipv6/conf/default/accept_dad", "0" },
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		int fd = openat(proc, all[i].path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, all[i].value, 1) != 1)
			die(all[i].path);
		close(fd);
	}
}

/* Two threads share the work: one takes the even nodes, the other the odd ones. */
static void *make_namespaces(void *first)
{
	int proc = -1, made = 0;

	for (int i = (intptr_t)first; i < count; i += 2) {
		if (made++ % 32 == 0) {
			close(proc);
			proc = fresh_proc();
		}
		if (unshare(CLONE_NEWNET))
			die("unshare");
		nodes[i].space = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		if (nodes[i].space < 0)
			die("/proc/thread-self/ns/net");
		nodes[i].sock = netlink_socket(0);
		sysctls(proc);
	}
	close(proc);
	return NULL;
}

/* One end's attributes. */
static void veth_end(struct batch *b, const char *name, uint32_t mac, int space)
{
	unsigned char address[6] = { 0x02, 0xba, mac >> 24, mac >> 16, mac >> 8, mac };

	attribute(b, IFLA_IFNAME, name, strlen(name) + 1);
	attribute(b, IFLA_ADDRESS, address, sizeof address);
	attribute(b, IFLA_NET_NS_FD, &space, sizeof space);
}

/* A pair in one message. */
static void veth(struct batch *b, const char *name1, int index1, int space1, const char *name2, int index2, int space2)
{
	struct ifinfomsg end1 = { .ifi_index = index1 }, end2 = { .ifi_index = index2 };

	message(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &end1, sizeof end1);
	veth_end(b, name1, index1, space1);
	struct rtattr *info = attribute(b, IFLA_LINKINFO, NULL, 0);
	attribute(b, IFLA_INFO_KIND, "veth", 4);
	struct rtattr *data = attribute(b, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attribute(b, VETH_INFO_PEER, &end2, sizeof end2);
	veth_end(b, name2, index2, space2);
	nested(b, peer);
	nested(b, data);
	nested(b, info);
}

static void raise_interface(struct batch *b, int index)
{
	struct ifinfomsg up = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

	message(b, RTM_NEWLINK, 0, &up, sizeof up);
}

static void add_address(struct batch *b, int index, uint32_t ip, int prefix)
{
	struct ifaddrmsg add = { .ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_index = index };

	ip = htonl(ip);
	message(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &add, sizeof add);
	attribute(b, IFA_LOCAL, &ip, sizeof ip);
	attribute(b, IFA_ADDRESS, &ip, sizeof ip);
}

/* A namespace's interfaces and addresses, in one send. */
static void *configure(void *first)
{
	struct batch b = { .used = 0 };

	for (int i = (intptr_t)first; i < count; i += 2) {
		raise_interface(&b, 1);
		raise_interface(&b, right_index(i));
		raise_interface(&b, left_index(i));
		add_address(&b, 1, 0x0a000001 + i, 32);
		add_address(&b, right_index(i), 0xac100000 + 2 * i, 31);
		add_address(&b, left_index(i), 0xac100001 + 2 * ((i + count - 1) % count), 31);
		commit(&b, nodes[i].sock);
	}
	return NULL;
}

static void on_two_threads(void *(*work)(void *))
{
	pthread_t second;

	if (pthread_create(&second, NULL, work, (void *)1))
		die("thread");
	work((void *)0);
	pthread_join(second, NULL);
}

static int ring(void)
{
	struct rlimit files;
	struct batch b = { .used = 0 };
	sigset_t signals;
	int64_t start = now_ns();

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	nodes = calloc(count, sizeof *nodes);

	/* This thread makes namespaces too, and must find home again. */
	int host = netlink_socket(0);
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		die("start");
	on_two_threads(make_namespaces);
	if (setns(home, CLONE_NEWNET))
		die("setns");
	int64_t spaces = now_ns();

	/* One thread: the kernel makes links under one lock, and a second thread only waits for it. */
	for (int i = 0; i < count; i++) {
		int next = (i + 1) % count;
		veth(&b, "right", right_index(i), nodes[i].space, "left", left_index(next), nodes[next].space);
		if (b.used > sizeof b.data - 1024 || i == count - 1)
			commit(&b, host);
	}
	int64_t links = now_ns();

	on_two_threads(configure);
	int64_t end = now_ns();

	printf("{\"nodes\": %d, \"up_ms\": %.2f, \"namespaces_ms\": %.2f, \"links_ms\": %.2f, \"addresses_ms\": %.2f, "
	       "\"ready_ns\": %lld, \"network_fds\": [",
	       count, (end - start) / 1e6, (spaces - start) / 1e6, (links - spaces) / 1e6, (end - links) / 1e6,
	       (long long)end);
	for (int i = 0; i < count; i++)
		printf("%s%d", i ? ", " : "", nodes[i].space);
	puts("]}");
	fflush(stdout);

	sigemptyset(&signals); /* SIGTERM's own effect is the right one: die, and drop all descriptors at once */
	sigprocmask(SIG_SETMASK, &signals, NULL);
	char line;
	while (read(0, &line, 1) == 1 && line != '\n')
		;
	_exit(0);
}

/* ---- nodes with a process ---- */

static char scratch[] = "/tmp/bare-XXXXXX";
static int plain, no_ipc;

static void must(int result, const char *what)
{
	if (result)
		die(what);
}

static void device(const char *path, int major, int minor)
{
	must(mknod(path, S_IFCHR | 0666, makedev(major, minor)), path);
}

static void read_only(const char *path, unsigned long kept)
{
	must(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | kept, NULL), path);
}

/* The entries of /proc that nslab masks, where this machine has them. */
static void mask(void)
{
	const unsigned long inert = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	const char *directories[] = { "proc/bus", "proc/irq", "proc/pressure", "proc/sys" };
	const char *files[] = { "proc/kmsg", "proc/kcore", "proc/mtrr", "proc/slabinfo", "proc/kpagecount", "proc/kpageflags",
		"proc/timer_list", "proc/kpagecgroup", "proc/vmallocinfo", "proc/pagetypeinfo", "proc/sysrq-trigger" };

	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
		if (mount(directories[i], directories[i], NULL, MS_BIND, NULL)) {
			if (errno == ENOENT)
				continue;
			die(directories[i]);
		}
		if (i == 3)
			must(mount("proc/sys/net", "proc/sys/net", NULL, MS_BIND, NULL), "sys/net");
		read_only(directories[i], inert);
	}
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (mount("dev/null", files[i], NULL, MS_BIND, NULL) && errno != ENOENT)
			die(files[i]);
	must(mount("sys/devices/virtual/net", "sys/devices/virtual/net", NULL, MS_BIND, NULL), "virtual/net");
	read_only("sys", inert);
}

static void make_root(int i)
{
	const unsigned long inert = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char options[256], name[32];

	must(mount("tmpfs", scratch, "tmpfs", 0, "mode=0755"), "tmpfs");
	must(chdir(scratch), scratch);
	must(mkdir("u", 0755) || mkdir("w", 0700) || mkdir("root", 0755) || mkdir("u/etc", 0755), "layers");
	int fd = open("u/etc/hostname", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	int length = snprintf(name, sizeof name, "n%d\n", i);
	if (fd < 0 || write(fd, name, length) != length || sethostname(name, length - 1))
		die("hostname");
	close(fd);
	snprintf(options, sizeof options, "lowerdir=/,upperdir=%s/u,workdir=%s/w", scratch, scratch);
	must(mount("overlay", "root", "overlay", MS_NODEV, options), "overlay");
	must(chdir("root"), "root");
	must(mount("proc", "proc", "proc", inert, NULL), "proc");
	must(mount("sysfs", "sys", "sysfs", inert, NULL), "sysfs");
	must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=0755"), "dev");
	umask(0);
	must(mkdir("dev/net", 0755) || mkdir("dev/pts", 0755) || mkdir("dev/mqueue", 01777) || mkdir("dev/shm", 01777), "dev");
	device("dev/null", 1, 3);
	device("dev/zero", 1, 5);
	device("dev/full", 1, 7);
	device("dev/random", 1, 8);
	device("dev/urandom", 1, 9);
	device("dev/tty", 5, 0);
	device("dev/net/tun", 10, 200);
	umask(022);
	must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"), "devpts");
	must(mount("mqueue", "dev/mqueue", "mqueue", inert, NULL), "mqueue");
	must(symlink("pts/ptmx", "dev/ptmx") || symlink("/proc/self/fd", "dev/fd") || symlink("/proc/self/fd/0", "dev/stdin") ||
	     symlink("/proc/self/fd/1", "dev/stdout") || symlink("/proc/self/fd/2", "dev/stderr"), "links in dev");
	if (!plain)
		mask();
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount");
}

/* Says when the process is executed: posix_spawn returns then. */
static void be_init(int i, int say)
{
	char *command[] = { "sleep", "infinity", NULL };
	int namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWCGROUP | (no_ipc ? 0 : CLONE_NEWIPC);
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	must(setns(nodes[i].space, CLONE_NEWNET), "setns");
	must(unshare(namespaces), "unshare");
	setsid();
	syscall(SYS_close_range, 3, say - 1, 0);
	syscall(SYS_close_range, say + 1, ~0U, 0);
	make_root(i);
	must(posix_spawn(&pid, "/usr/bin/sleep", NULL, NULL, command, environ), "sleep");
	must(write(say, "", 1) != 1, "say");
	close(say);
	for (;;)
		wait(NULL) < 0 ? pause() : 0;
}

static int with_processes(void)
{
	struct rlimit files;
	char said[4096];
	int told[2], ready = 0;
	int64_t start = now_ns();

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	nodes = calloc(count, sizeof *nodes);
	if (!mkdtemp(scratch))
		die(scratch);
	must(unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	on_two_threads(make_namespaces);
	must(setns(home, CLONE_NEWNET), "setns");
	int64_t spaces = now_ns();

	must(pipe2(told, O_CLOEXEC), "pipe");
	for (int i = 0; i < count; i++) {
		long pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
		if (pid < 0)
			die("clone");
		if (!pid)
			be_init(i, told[1]);
	}
	close(told[1]);
	while (ready < count) {
		ssize_t got = read(told[0], said, sizeof said);
		if (got <= 0) {
			fputs("an init has ended\n", stderr);
			rmdir(scratch);
			return 1;
		}
		ready += got;
	}
	int64_t end = now_ns();
	rmdir(scratch);
	printf("{\"nodes\": %d, \"up_ms\": %.2f, \"namespaces_ms\": %.2f, \"processes_ms\": %.2f}\n", count, (end - start) / 1e6,
	       (spaces - start) / 1e6, (end - spaces) / 1e6);
	fflush(stdout);
	while (read(0, said, 1) == 1 && *said != '\n')
		;
	_exit(0);
}

/* ---- routes ---- */

#define BGP 186

/* What the kernel says of the routes in a namespace. */
struct saved {
	int sock;
	char *data;
	size_t used, room;
	int count;
};

static struct saved *saved;

static void keep(struct saved *s, const struct nlmsghdr *h)
{
	size_t size = NLMSG_ALIGN(h->nlmsg_len);

	if (s->used + size > s->room) {
		s->room = 2 * s->room + size + 65536;
		s->data = realloc(s->data, s->room);
	}
	memcpy(s->data + s->used, h, h->nlmsg_len);
	s->used += size;
	s->count++;
}

static void save_routes(struct saved *s)
{
	struct { struct nlmsghdr h; struct rtmsg r; } ask = { .h = { .nlmsg_len = sizeof ask, .nlmsg_type = RTM_GETROUTE,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP }, .r = { .rtm_family = AF_INET } };
	char answer[65536];

	must(send(s->sock, &ask, sizeof ask, 0) != sizeof ask, "ask for routes");
	for (int done = 0; !done;) {
		ssize_t got = recv(s->sock, answer, sizeof answer, 0);
		if (got < 0)
			die("hear of routes");
		for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, (size_t)got); h = NLMSG_NEXT(h, got)) {
			struct rtmsg *route = NLMSG_DATA(h);
			done |= h->nlmsg_type == NLMSG_DONE;
			if (h->nlmsg_type == RTM_NEWROUTE && route->rtm_protocol == BGP && !(route->rtm_flags & RTM_F_CLONED))
				keep(s, h);
		}
	}
}

/* Says all of it to the kernel, as a wish to put it in or to take it out. */
static void say_routes(struct saved *s, int type, int flags)
{
	struct batch b = { .used = 0 };

	for (size_t at = 0; at < s->used;) {
		struct nlmsghdr *h = (struct nlmsghdr *)(s->data + at);
		if (b.used + h->nlmsg_len + 64 > sizeof b.data)
			commit(&b, s->sock);
		message(&b, type, flags, NLMSG_DATA(h), h->nlmsg_len - NLMSG_HDRLEN);
		at += NLMSG_ALIGN(h->nlmsg_len);
	}
	commit(&b, s->sock);
}

static void *install(void *first)
{
	for (int i = (intptr_t)first; i < count; i += 2)
		say_routes(&saved[i], RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	return NULL;
}

static int routes(char **pids)
{
	struct rlimit files;
	char path[64];
	int all = 0;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	saved = calloc(count, sizeof *saved);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "/proc/%s/ns/net", pids[i]);
		int space = open(path, O_RDONLY | O_CLOEXEC);
		if (space < 0 || setns(space, CLONE_NEWNET))
			die(path);
		close(space);
		saved[i].sock = netlink_socket(0);
		save_routes(&saved[i]);
		say_routes(&saved[i], RTM_DELROUTE, 0);
		all += saved[i].count;
	}
	int64_t start = now_ns();
	on_two_threads(install);
	printf("{\"routes\": %d, \"install_ms\": %.2f}\n", all, (now_ns() - start) / 1e6);
	return 0;
}

/* ---- watch ---- */

static int watch(char **names, int wanted)
{
	int events = netlink_socket(RTMGRP_LINK), left = wanted, buffer = 4 << 20;
	int *index = calloc(wanted, sizeof *index);
	char data[65536];

	setsockopt(events, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
	for (int i = 0; i < wanted; i++)
		if (!(index[i] = if_nametoindex(names[i])))
			die(names[i]);
	puts("watching");
	fflush(stdout);
	while (left) {
		ssize_t got = recv(events, data, sizeof data, 0);
		if (got < 0)
			die("watch");
		for (struct nlmsghdr *h = (void *)data; NLMSG_OK(h, (size_t)got); h = NLMSG_NEXT(h, got))
			for (int i = 0; i < wanted; i++)
				if (h->nlmsg_type == RTM_DELLINK && ((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index == index[i])
					left--;
	}
	int64_t dellink = now_ns();

	/*
	 * The kernel tells of a device while the whole batch is still being taken apart under the RTNL lock. A change that
	 * changes nothing (the loopback's MTU, to what it is) waits for that lock, and so for the end of the batch.
	 */
	struct batch b = { .used = 0 };
	struct ifinfomsg lo = { .ifi_index = 1 };
	uint32_t mtu = 65536;
	message(&b, RTM_SETLINK, 0, &lo, sizeof lo);
	attribute(&b, IFLA_MTU, &mtu, sizeof mtu);
	commit(&b, netlink_socket(0));
	printf("%lld %lld\n", (long long)now_ns(), (long long)dellink);
	return 0;
}

/* ---- spawn ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static int spawn(int runs, char **words)
{
	char **commands[16];
	double *times[16];
	int many = 0;

	for (char **w = words; *w && many < 16;) {
		commands[many] = w;
		times[many++] = calloc(runs, sizeof(double));
		while (*w && strcmp(*w, ":::"))
			w++;
		if (*w)
			*w++ = NULL;
	}
	for (int run = 0; run < runs; run++)
		for (int c = 0; c < many; c++) {
			pid_t pid;
			int status;
			int64_t start = now_ns();
			if (posix_spawnp(&pid, commands[c][0], NULL, NULL, commands[c], environ))
				die(commands[c][0]);
			waitpid(pid, &status, 0);
			times[c][run] = (now_ns() - start) / 1e3;
			if (status) {
				fprintf(stderr, "%s: status %#x\n", commands[c][0], status);
				return 1;
			}
		}
	for (int c = 0; c < many; c++) {
		qsort(times[c], runs, sizeof(double), by_value);
		printf("%.1f%c", times[c][runs / 2], c == many - 1 ? '\n' : ' ');
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "ring") && (count = atoi(argv[2])) >= 3) {
		for (int i = 3; i < argc; i++)
			forward |= !strcmp(argv[i], "--forward");
		return ring();
	}
	if (argc > 2 && !strcmp(argv[1], "nodes") && (count = atoi(argv[2])) >= 1) {
		for (int i = 3; i < argc; i++) {
			plain |= !strcmp(argv[i], "--plain");
			no_ipc |= !strcmp(argv[i], "--no-ipc");
		}
		return with_processes();
	}
	if (argc > 2 && !strcmp(argv[1], "routes")) {
		count = argc - 2;
		return routes(argv + 2);
	}
	if (argc > 2 && !strcmp(argv[1], "watch"))
		return watch(argv + 2, argc - 2);
	if (argc > 3 && !strcmp(argv[1], "spawn") && atoi(argv[2]) > 0)
		return spawn(atoi(argv[2]), argv + 3);
	fprintf(stderr, "usage: bare ring N [--forward] | bare nodes N [--plain] [--no-ipc] | bare routes PID... | bare watch NAME... | bare spawn RUNS COMMAND... "
			"[::: COMMAND...]...\n");
	return 2;
}
