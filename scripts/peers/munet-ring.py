"""A ring of N nodes in munet, up and down: prints {"up_ms": ..., "down_ms": ...}. Started by scripts/bench."""

import asyncio
import json
import logging
import sys
import tempfile
import time

from munet.parser import async_build_topology

count = int(sys.argv[1])

# munet logs every command it runs, and told to be quiet it is faster: this is to be its best time.
logging.disable(logging.WARNING)


def node(i):
    """Each node names its two links; the ring's other half is the neighbours' saying the same."""
    right, left = 2 * i, 2 * ((i - 1) % count)
    return {
        "name": f"n{i}",
        "connections": [
            {
                "to": f"n{(i + 1) % count}",
                "name": "right",
                "remote-name": "left",
                "ip": f"172.16.{right >> 8}.{right & 255}/31",
            },
            {
                "to": f"n{(i - 1) % count}",
                "name": "left",
                "remote-name": "right",
                "ip": f"172.16.{left >> 8}.{(left & 255) + 1}/31",
            },
        ],
    }


async def main():
    with tempfile.TemporaryDirectory() as directory:
        config = {
            "config_pathname": f"{directory}/munet.yaml",
            "topology": {"networks": [], "nodes": [node(i) for i in range(count)]},
        }
        start = time.monotonic()
        # Without a PID namespace round the whole munet is faster, and does not lose a race it has with nsenter.
        net = await async_build_topology(config, rundir=f"{directory}/run", top_level_pidns=False)
        await net.run()
        up = time.monotonic()
        await net.hosts["n0"].async_cmd_raises("ping -c 1 -W 2 172.16.0.1")
        down_start = time.monotonic()
        await net.async_delete()
        down = time.monotonic()
    print(json.dumps({"up_ms": (up - start) * 1e3, "down_ms": (down - down_start) * 1e3}))


asyncio.run(main())
