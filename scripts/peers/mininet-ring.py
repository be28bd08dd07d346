#!/usr/bin/python3
"""A ring of N hosts in Mininet, up and down: prints {"up_ms": ..., "down_ms": ...}. Started by scripts/bench."""

import json
import sys
import time

from mininet.log import setLogLevel
from mininet.net import Mininet

count = int(sys.argv[1])
setLogLevel("error")

# Mininet's start would set limits of the whole machine (fs.file-max, kernel.pty.max). A ring of 50 needs none of them.
Mininet.inited = True

start = time.monotonic()
net = Mininet(controller=None, build=False)
hosts = [net.addHost(f"n{i}", ip=None) for i in range(count)]
for i, host in enumerate(hosts):
    a = 2 * i
    net.addLink(
        host,
        hosts[(i + 1) % count],
        intfName1=f"n{i}-right",
        intfName2=f"n{(i + 1) % count}-left",
        params1={"ip": f"172.16.{a >> 8}.{a & 255}/31"},
        params2={"ip": f"172.16.{a >> 8}.{(a & 255) + 1}/31"},
    )
net.start()
up = time.monotonic()

loss = hosts[0].cmd("ping -c 1 -W 2 172.16.0.1 > /dev/null; echo $?").strip()
if loss != "0":
    sys.exit("the ring does not carry a packet")

down_start = time.monotonic()
net.stop()
down = time.monotonic()
print(json.dumps({"up_ms": (up - start) * 1e3, "down_ms": (down - down_start) * 1e3}))
