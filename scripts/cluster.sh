#!/usr/bin/env bash
# The yardstick for a cluster of real kubelets: the same programs with the same files, started by a shell script.
set -euo pipefail

usage() {
    cat <<'END'
usage: scripts/cluster.sh PREPARED

Starts a Kubernetes in namespaces of its own, waits until all its nodes are Ready, and prints how many milliseconds that took,
from the moment on at which everything is prepared: namespaces, links, files and mounts. Everything goes when it ends. PREPARED
has a directory for each node, as scripts/bench takes it from a lab of nslab's: `root` (files), `address`, `gateway` (of its
pods), and `PROGRAM.argv` for each program, its words ended by NULs. Needs root.
END
}

if (($# != 1)) || [[ $1 == -* ]]; then
    [[ ${1-} == -h || ${1-} == --help ]] && usage && exit
    usage >&2 && exit 2
fi
prepared=$(realpath "$1")

# A node: a process with namespaces and cgroups of its own, whose first words are said once it is prepared.
node() {
    local node=$1 place names program
    mount --make-rprivate /
    mount -t tmpfs tmpfs /mnt
    for place in etc opt root var; do
        mkdir -p "/mnt/$place/upper" "/mnt/$place/work"
        mount -t overlay -o "lowerdir=/$place,upperdir=/mnt/$place/upper,workdir=/mnt/$place/work" overlay "/$place"
    done
    for place in /run /var/lib/containerd /var/lib/kubelet /var/lib/etcd; do
        mkdir -p "$place"
        mount -t tmpfs tmpfs "$place"
    done
    cp -a "$prepared/$node/root/." /
    mount --make-rshared /
    mount -t tmpfs tmpfs /sys/fs/cgroup
    if grep -qv '^0:' /proc/self/cgroup; then
        cut -d: -f2 /proc/self/cgroup | grep . | while read -r names; do
            place=/sys/fs/cgroup/${names#name=}
            mkdir -p "$place"
            mount -t cgroup -o "$([[ $names == name=* ]] && echo "none,")$names" cgroup "$place"
        done
    else
        umount /sys/fs/cgroup
        mount -t cgroup2 cgroup /sys/fs/cgroup
    fi
    hostname "$node"
    ip link set lo up
    ip link add cilium_host type bridge
    ip address add "$(cat "$prepared/$node/gateway")" dev cilium_host
    ip link set cilium_host up
    touch "$ready/$node"
    until [[ -e $ready/go ]]; do sleep 0.01; done

    start() {
        local words
        mapfile -d '' words <"$prepared/$node/$1.argv"
        "${words[@]}" >"/mnt/$1.log" 2>&1 &
    }
    start containerd
    if [[ -e $prepared/$node/etcd.argv ]]; then
        start etcd
        until (exec 3<>/dev/tcp/127.0.0.1/2379) 2>/dev/null; do sleep 0.05; done
        start kube-apiserver
        (
            until (exec 3<>/dev/tcp/127.0.0.1/6443) 2>/dev/null; do sleep 0.05; done
            until $kubectl get --raw /readyz; do sleep 0.1; done >/dev/null 2>&1
            $kubectl apply -f /etc/kubernetes/objects.json >/dev/null
            start kube-controller-manager
            start kube-scheduler
            wait
        ) &
    fi
    until [[ -S /run/containerd/containerd.sock ]]; do sleep 0.01; done
    ctr -n k8s.io images import "$prepared/$node/root/pause.tar" >/dev/null
    start kubelet
    wait 2>/dev/null || true
}

kubectl="$(cat "$prepared/kubectl") --kubeconfig /root/.kube/config --request-timeout 2s"
if [[ -n ${CLUSTER_NODE-} ]]; then
    ready=$CLUSTER_READY
    node "$CLUSTER_NODE"
    exit
fi
if [[ -z ${CLUSTER_INSIDE-} ]]; then
    CLUSTER_INSIDE=1 exec unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$prepared"
fi

ready=$(mktemp -d -t cluster-sh.XXXXXX)
cgroups=()
tidy() {
    trap - EXIT
    # unshare lets no other signal end it, and takes its child along.
    kill -KILL "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$ready"
    # The kernel lets go of a cgroup a moment after its last process; a runtime's are below the node's.
    for cgroup in "${cgroups[@]}"; do
        for _ in {1..100}; do
            find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
            [[ -d $cgroup ]] || break
            sleep 0.05
        done
    done
}
trap tidy EXIT
trap 'exit 130' INT TERM
ip link add lan type bridge
ip link set lan up
pids=() nodes=()
for directory in "$prepared"/*/; do
    node=$(basename "$directory")
    nodes+=("$node")
    own=()
    while read -r tree; do
        own+=("$tree/$(basename "$ready")-$node")
    done < <(findmnt -rn -t cgroup,cgroup2 -o TARGET | sort -u)
    mkdir "${own[@]}"
    cgroups+=("${own[@]}")
    if [[ -e $(dirname "${own[0]}")/cpuset.cpus || -n $(ls "${own[@]}" | grep -x cpuset.cpus || true) ]]; then
        for cgroup in "${own[@]}"; do
            for file in cpuset.cpus cpuset.mems; do
                [[ -e $cgroup/$file ]] && cat "$(dirname "$cgroup")/$file" >"$cgroup/$file" || true
            done
        done
    fi
    (
        for cgroup in "${own[@]}"; do echo "$BASHPID" >"$cgroup/cgroup.procs"; done
        CLUSTER_NODE=$node CLUSTER_READY=$ready exec unshare --mount --net --pid --uts --ipc --cgroup --fork --kill-child \
            --mount-proc "$0" "$prepared"
    ) &
    pids+=($!)
    until inner=$(pgrep -P "${pids[-1]}" 2>/dev/null) && [[ -n $inner ]]; do sleep 0.01; done
    until [[ $(readlink "/proc/$inner/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do sleep 0.01; done
    ip link add "port-${#nodes[@]}" type veth peer name net0 netns "$inner"
    ip link set "port-${#nodes[@]}" master lan up
    nsenter -t "$inner" -n ip address add "$(cat "$prepared/$node/address")/16" dev net0
    nsenter -t "$inner" -n ip link set net0 up
done
for node in "${nodes[@]}"; do
    until [[ -e $ready/$node ]]; do sleep 0.01; done
done
first=$(pgrep -P "${pids[0]}")
start=$EPOCHREALTIME
touch "$ready/go"
for _ in {1..1200}; do
    count=$(nsenter -t "$first" -n -m -p $kubectl get nodes --no-headers 2>/dev/null | awk '$2 == "Ready"' | wc -l || true)
    if ((count == ${#nodes[@]})); then
        end=$EPOCHREALTIME
        echo "$(((${end/./} - ${start/./}) / 1000))"
        exit
    fi
    sleep 0.1
done
echo "cluster.sh: not all nodes are Ready after two minutes" >&2
exit 1
