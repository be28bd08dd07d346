#!/usr/bin/env bash
# The yardstick for labs/cilium-bgp.toml: the same three FRR routers and four hosts, made by a shell script.
set -euo pipefail

usage() {
    cat <<'END'
usage: scripts/published.sh [--hold] [--configs DIR] [--speaker NSLAB]

Raises the routers and hosts of labs/cilium-bgp.toml in namespaces of its own, with iproute2 and FRR alone, waits until
router0 has its 7 routes and both its sessions, and prints how long that took. Everything goes when it ends. Needs root.

  --hold         print "started PID" (a process in router0) once the daemons are started, do not wait for routes, and
                 stay until the input ends
  --configs DIR  take the routers' configuration from DIR/router0.conf, DIR/tor0.conf and DIR/tor1.conf
  --speaker NSLAB
                 run this program's own speaker instead of FRR, and on each server one that announces a network of pods:
                 router0 has four routes more then. Only with --hold
END
}

hold=no configs= speaker=
routers=(router0 tor0 tor1)
for ((i = 1; i <= $#; i++)); do
    case "${!i}" in
        --hold) hold=yes ;;
        --configs)
            i=$((i + 1))
            configs=$(realpath "${!i}")
            ;;
        --speaker)
            i=$((i + 1))
            speaker=$(realpath "${!i}")
            routers+=(server0 server1 server2 server3)
            ;;
        -h | --help) usage && exit ;;
        *) usage >&2 && exit 2 ;;
    esac
done

# Descriptor 9 is the /proc of whoever called: through it a process here learns the number it has out there.
if [[ -z ${PUBLISHED_INSIDE-} ]]; then
    start=$EPOCHREALTIME
    exec 9</proc
    PUBLISHED_INSIDE=$start exec unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$@"
fi

config_of() {
    if [[ -n $configs && $1 != server* ]]; then
        cat "$configs/$1.conf"
        return
    fi
    case $1 in
        router0) cat <<'END' ;;
router bgp 65000
 bgp router-id 10.0.0.0
 no bgp ebgp-requires-policy
 neighbor ROUTERS peer-group
 neighbor ROUTERS remote-as external
 neighbor net0 interface peer-group ROUTERS
 neighbor net1 interface peer-group ROUTERS
 address-family ipv4 unicast
  redistribute connected
  neighbor ROUTERS default-originate
 exit-address-family
END
        tor0 | tor1) sed "s/AS/6501${1#tor}/; s/ID/10.0.0.$((${1#tor} + 1))/; s/S1/10.0.$((${1#tor} * 2 + 1)).2/; s/S2/10.0.$((${1#tor} * 2 + 2)).2/" <<'END' ;;
frr defaults datacenter
router bgp AS
 bgp router-id ID
 no bgp ebgp-requires-policy
 neighbor ROUTERS peer-group
 neighbor ROUTERS remote-as external
 neighbor SERVERS peer-group
 neighbor SERVERS remote-as internal
 neighbor net0 interface peer-group ROUTERS
 neighbor S1 peer-group SERVERS
 neighbor S2 peer-group SERVERS
 address-family ipv4 unicast
  redistribute connected
 exit-address-family
END
        server*) sed "s/AS/6501$((${1#server} / 2))/; s/TOR/10.0.0.$((${1#server} / 2 + 1))/; s/NET/10.1.${1#server}.0\/24/; s/ID/10.0.$((${1#server} + 1)).2/" <<'END' ;;
router bgp AS
 bgp router-id ID
 no bgp network import-check
 neighbor TOR remote-as AS
 neighbor TOR timers connect 1
 address-family ipv4 unicast
  network NET
 exit-address-family
END
    esac
}

# Runs in the router's own network, mount and UTS namespaces, and stays there as the process to enter them by.
router() {
    local name=$1 pid
    hostname "$name"
    mount -t tmpfs -o mode=0755 frr /etc/frr
    mount -t tmpfs -o mode=0755 frr /run/frr
    if [[ -n $speaker ]]; then
        config_of "$name" >/etc/frr/frr.conf
        ln -s "$speaker" /run/frr/vtysh
        "$speaker" speaker &
        read -r pid _ </proc/self/fd/9/self/stat
        echo "$pid $$" >"/run/published/$name"
        exec sleep infinity
    fi
    mount -t tmpfs -o mode=0755 log /var/log
    mkdir /var/log/frr
    echo 'service integrated-vtysh-config' >/etc/frr/vtysh.conf
    cat >/etc/frr/daemons <<'END'
bgpd=yes
vtysh_enable=yes
zebra_options="  -A 127.0.0.1 -s 90000000"
bgpd_options="   -A 127.0.0.1"
staticd_options="-A 127.0.0.1"
END
    config_of "$name" >/etc/frr/frr.conf
    chown -R frr:frr /etc/frr /run/frr /var/log/frr
    # What /usr/lib/frr/frrinit.sh comes down to: watchfrr starts the daemons, in order, and then runs `vtysh -b`.
    /usr/lib/frr/watchfrr -d -F traditional zebra bgpd staticd
    read -r pid _ </proc/self/fd/9/self/stat
    echo "$pid $$" >"/run/published/$name"
    exec sleep infinity
}

if [[ ${PUBLISHED_ROUTER-} ]]; then
    router "$PUBLISHED_ROUTER"
fi

# The caller's /run is hidden by one that goes with this script; `ip netns` keeps its names there.
mount -t tmpfs -o mode=0755 run /run
mkdir /run/netns /run/frr /run/published

# Different indexes at the two ends: with equal ones the carrier can come up to a second late.
ip -batch - <<'END'
netns add router0
netns add tor0
netns add tor1
netns add server0
netns add server1
netns add server2
netns add server3
link add net0 netns router0 index 11 type veth peer name net0 netns tor0 index 12
link add net1 netns router0 index 13 type veth peer name net0 netns tor1 index 14
link add net1 netns tor0 index 15 type veth peer name net0 netns server0 index 16
link add net2 netns tor0 index 17 type veth peer name net0 netns server1 index 18
link add net1 netns tor1 index 19 type veth peer name net0 netns server2 index 20
link add net2 netns tor1 index 21 type veth peer name net0 netns server3 index 22
END

sysctls() {
    local name=$1 forwarding=$2
    # shellcheck disable=SC2016 # what is in the quotes is the inner shell's
    nsenter --net="/run/netns/$name" bash -c '
        cd /proc/sys/net
        echo "$1" >ipv4/ip_forward
        echo "$1" >ipv6/conf/all/forwarding
        for all in all default; do
            echo 0 >ipv4/conf/$all/rp_filter
            echo 0 >ipv4/conf/$all/arp_ignore
            echo 0 >ipv6/conf/$all/accept_dad
        done
        for here in ipv6/conf/net*; do
            echo 0 >"$here/accept_dad"
        done' - "$forwarding"
}

for name in router0 tor0 tor1; do
    sysctls "$name" 1
done
for n in 0 1 2 3; do
    sysctls "server$n" 0
done

ip -n router0 -batch - <<'END'
link set lo up
link set net0 up
link set net1 up
address add 10.0.0.0/32 dev lo
route add blackhole 10.0.0.0/8
END
for n in 0 1; do
    ip -n "tor$n" -batch - <<END
link set lo up
link set net0 up
link set net1 up
link set net2 up
address add 10.0.0.$((n + 1))/32 dev lo
address add 10.0.$((2 * n + 1)).1/24 dev net1
address add 10.0.$((2 * n + 2)).1/24 dev net2
END
done
for n in 0 1 2 3; do
    ip -n "server$n" -batch - <<END
link set lo up
link set net0 up
address add 10.0.$((n + 1)).2/24 dev net0
route replace default via 10.0.$((n + 1)).1
END
done

for name in "${routers[@]}"; do
    PUBLISHED_ROUTER=$name nsenter --net="/run/netns/$name" unshare --mount --uts "$0" "$@" >/run/published/log 2>&1 &
done
until [[ -s /run/published/router0 && -s /run/published/tor0 && -s /run/published/tor1 ]]; do
    if [[ $(jobs -pr | wc -l) -lt ${#routers[@]} ]]; then
        cat /run/published/log >&2
        exit 1
    fi
    sleep 0.01
done
read -r outside inside </run/published/router0

if [[ $hold == yes ]]; then
    echo "started $outside"
    cat >/dev/null
    exit
fi

deadline=$((SECONDS + 60))
until nsenter -t "$inside" -a vtysh -c 'show bgp ipv4 unicast json' -c 'show bgp summary json' 2>/dev/null |
    jq -es '(.[0].routes | length) == 7 and ([.[1].ipv4Unicast.peers[].state] == ["Established", "Established"])' >/dev/null; do
    if ((SECONDS > deadline)); then
        echo "router0 has not its 7 routes and 2 sessions after 60 s" >&2
        exit 1
    fi
    sleep 0.05
done
end=$EPOCHREALTIME
echo "{\"ready_ms\": $(((${end/./} - ${PUBLISHED_INSIDE/./}) / 1000))}"
