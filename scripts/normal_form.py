"""What scripts/compare-engines leaves out of answers, with a reason each, and how two answers are compared. No I/O."""

import json

# ---- what is left out ----

CLOCK = "a time of day, or how long something has lasted"
TRAFFIC = "how many messages it took: routes may be packed into messages as one likes"
MEMORY = "memory, which is the implementation's"
NUMBER = "a number the implementation gives its own objects"
CHANCE = "up to which of two connections was first, or how often one was tried before the other router was there"

# Keys of vtysh's answers, wherever they stand.
LEFT_OUT = {
    "peerUptime": CLOCK,
    "peerUptimeMsec": CLOCK,
    "peerUptimeEstablishedEpoch": CLOCK,
    "bgpTimerUpMsec": CLOCK,
    "bgpTimerUpString": CLOCK,
    "bgpTimerUpEstablishedEpoch": CLOCK,
    "bgpTimerLastRead": CLOCK,
    "bgpTimerLastWrite": CLOCK,
    "bgpInUpdateElapsedTimeMsecs": CLOCK,
    "lastResetTimerMsecs": CLOCK,
    "nextConnectTimerDueInMsecs": CLOCK,
    "nextStartTimerDueInMsecs": CLOCK,
    "lastUpdate": CLOCK,
    "uptime": CLOCK,
    "estimatedRttInMsecs": CLOCK,
    "msgRcvd": TRAFFIC,
    "msgSent": TRAFFIC,
    "messageStats": TRAFFIC,
    "outq": TRAFFIC,
    "inq": TRAFFIC,
    "packetQueueLength": TRAFFIC,
    "ribMemory": MEMORY,
    "peerMemory": MEMORY,
    "peerGroupMemory": MEMORY,
    "version": "the table's version at a route's last change: it counts changes, and their order is chance",
    "tableVersion": "the same, of the table",
    "bgpTableVersion": "the same, of the table",
    "updateGroupId": NUMBER,
    "subGroupId": NUMBER,
    "nexthopGroupId": NUMBER,
    "installedNexthopGroupId": NUMBER,
    "internalStatus": NUMBER,
    "internalFlags": NUMBER,
    "flags": NUMBER,
    "addpathRxId": NUMBER,
    "addpathTxId": NUMBER,
    "addpathTxIdAll": NUMBER,
    "addpathTxIdBestPerAS": NUMBER,
    "connectionsEstablished": CHANCE,
    "connectionsDropped": CHANCE,
    "portLocal": CHANCE,
    "portForeign": CHANCE,
    "endOfRibSentAfterUpdate": "whether all was said already before the mark of its end had to be sent",
    "readThread": "FRR's threads",
    "writeThread": "FRR's threads",
}

# The same for neighbors with a session only: of one without, it says why there is none.
LEFT_OUT_OF_SESSIONS = {
    "lastResetDueTo": CHANCE,
    "lastResetCode": CHANCE,
    "lastErrorCodeSubcode": CHANCE,
    "lastNotificationReason": CHANCE,
    "lastNotificationHardReset": CHANCE,
    "lastShutdownDescription": CHANCE,
}

# The same for neighbors without one: FRR goes on showing what the last connection left until it tries again.
LEFT = "left of the last connection until the next try, and that is the clock's"
LEFT_OUT_OF_TRIES = {
    "hostLocal": LEFT,
    "hostForeign": LEFT,
    "nexthop": LEFT,
    "nexthopGlobal": LEFT,
    "nexthopLocal": LEFT,
    "bgpConnection": LEFT,
    "remoteRouterId": LEFT,
    "receivedRestartTimer": LEFT,
}

# Keys of a summary with a neighbor that has told too much.
LEFT_OUT_OF_OVERFLOWS = {
    "ribCount": "FRR goes on counting the prefix at which it noticed, though no route is there any more",
}

# Keys of the kernel's routes, and all routes of its table `local`.
LEFT_OUT_OF_KERNEL = {
    "nhid": "next hop objects are one of two ways to say the same",
    "expires": CLOCK,
    "flags": "whether a link is up at this moment; the next hop says the rest",
}

# Values that stand for each other.
CONNECTING = "Active"
SAME_STATE = {"Connect": "whether a router without an answer tries just now or waits for the next try is the clock's"}

# Several connected routes to one prefix, such as fe80::/64 on each interface.
LEFT_OUT_OF_CONNECTED = {
    "selected": "the first or last that came to be is the chosen one: chance",
    "destSelected": "the same",
    "installed": "the same",
}

# Questions about neighbors that are sent several paths of a prefix.
LEFT_OUT_OF_ADD_PATH = {
    "advertised-routes": "FRR shows one path a prefix, whichever came last; the neighbor's own table tells all",
}

# Where the best path on either engine is only the oldest of several that are as good, it is not compared which of
# these that is, nor whether it was found by age or, arriving together, by router ID: the order of arrival is chance.
BY_AGE = "Older Path"

# Of the best of three paths or more FRR gives the reason of its last comparison, and that is with whichever came first.
MANY = 3
REASON = ("selectionReason",)

# ---- normal forms: pure ----


def answer(told, left_out=LEFT_OUT):
    """An answer of vtysh without what is left out, its paths in an order of their own."""
    if isinstance(told, dict):
        if any(peer.get("peerState") == "PfxCt" for peer in peers_of(told)):
            told = without(told, LEFT_OUT_OF_OVERFLOWS)
        if "bgpState" in told:
            up = told["bgpState"] == "Established"
            left_out = LEFT_OUT | (LEFT_OUT_OF_SESSIONS if up else LEFT_OUT_OF_TRIES)
        return {key: value_of(key, value, left_out) for key, value in told.items() if key not in left_out}
    if isinstance(told, list):
        elements = [answer(element, left_out) for element in told]
        are_routes = all(isinstance(element, dict) and "protocol" in element for element in elements)
        return routes_of(elements) if are_routes else elements
    return told


def peers_of(told):
    """The neighbors of a summary."""
    peers = told.get("peers")
    return [peer for peer in peers.values() if isinstance(peer, dict)] if isinstance(peers, dict) else []


def value_of(key, value, left_out):
    """The value of a key. Paths stand in the order in which they came, so they are sorted."""
    if key in ("state", "bgpState", "status") and value in SAME_STATE:
        return CONNECTING
    if key == "paths" and isinstance(value, list):
        return in_order([answer(path, left_out) for path in value])
    if key in ("routes", "advertisedRoutes", "receivedRoutes") and isinstance(value, dict):
        return {prefix: in_order(answer(paths)) for prefix, paths in value.items()}
    return answer(value, left_out)


def routes_of(routes):
    """The routing table's routes to one prefix, in an order of their own."""
    connected = [route for route in routes if route["protocol"] == "connected"]
    if len(connected) > 1:
        for route in connected:
            hops = [without(hop, ["fib"]) for hop in route.get("nexthops", [])]
            routes[routes.index(route)] = without(route, LEFT_OUT_OF_CONNECTED) | {"nexthops": hops}
    return in_order(routes)


def without(told, keys):
    """What was told, but for some keys."""
    return {key: value for key, value in told.items() if key not in keys}


def in_order(paths):
    """The paths of a prefix, where there are several."""
    return sorted(paths, key=path_order) if isinstance(paths, list) else paths


def path_order(path):
    """By the peer a path comes from, so that equal paths stand side by side even where an attribute differs."""
    peer = path.get("peer", {})
    return str(path.get("peerId", peer.get("peerId"))), json.dumps(path, sort_keys=True)


def without_reasons(answers, prefixes):
    """Those answers without the reason why the best path is the best, where that is chance."""
    told = {}
    for question, answer in answers.items():
        told[question] = answer
        if not isinstance(answer, dict) or not question.startswith("show bgp "):
            continue
        if answer.get("prefix") in prefixes:
            paths = [path | {"bestpath": without(path["bestpath"], REASON)} if "bestpath" in path else path
                     for path in answer.get("paths", [])]
            told[question] = answer | {"paths": paths}
        elif isinstance(answer.get("routes"), dict):
            routes = answer["routes"].items()
            told[question] = answer | {"routes": {
                prefix: [without(path, REASON) for path in paths] if prefix in prefixes else paths
                for prefix, paths in routes
            }}
    return told


def of_many(answers):
    """The prefixes that have so many paths that the reason for the best is chance."""
    tables = [answers.get(f"show bgp {family} unicast json") for family in ("ipv4", "ipv6")]
    routes = [table.get("routes", {}) for table in tables if isinstance(table, dict)]
    return {prefix for table in routes for prefix, paths in table.items() if len(paths) >= MANY}


def fold_chosen(answers, prefixes):
    """Those answers with one mark for the best path and those that share its load, where which is which is chance."""
    folded = {}
    for question, answer in answers.items():
        folded[question] = answer
        if not isinstance(answer, dict) or not question.startswith("show bgp "):
            continue
        if answer.get("prefix") in prefixes:
            folded[question] = answer | {"paths": in_order(list(map(fold_path, answer.get("paths", []))))}
        elif isinstance(answer.get("routes"), dict):
            routes = answer["routes"].items()
            folded[question] = answer | {"routes": {
                prefix: in_order(list(map(fold_path, paths))) if prefix in prefixes else paths
                for prefix, paths in routes
            }}
    return folded


def fold_path(path):
    """A path that is best, or as good, with one mark for either."""
    if not path.get("bestpath") and not path.get("multipath"):
        return path
    marks = ("bestpath", "multipath", "selectionReason")
    return without(path, marks) | {"best or as good": True}


def chosen_by_age(answers):
    """The prefixes whose best path is only the oldest of several."""
    tables = [answers.get(f"show bgp {family} unicast json") for family in ("ipv4", "ipv6")]
    return {
        prefix
        for table in tables if isinstance(table, dict)
        for prefix, paths in table.get("routes", {}).items()
        if any(path.get("selectionReason") == BY_AGE for path in paths)
    }


def kernel(routes):
    """What `ip -j route show table all` printed, by destination: each with its next hops in order."""
    table = {}
    for route in routes:
        if route.get("table") == "local":
            continue
        kept = without(route, LEFT_OUT_OF_KERNEL)
        if "nexthops" in kept:
            hops = [without(hop, LEFT_OUT_OF_KERNEL) for hop in kept["nexthops"]]
            kept["nexthops"] = sorted(hops, key=lambda hop: json.dumps(hop, sort_keys=True))
        name = " ".join(str(kept.pop(key)) for key in ("type", "dst") if key in kept)
        # The kernel has one of these an interface.
        places = ("table", "dev") if name in ("fe80::/64", "ff00::/8") else ("table",)
        table[" ".join([name, *(f"{key} {kept[key]}" for key in places if key in kept)])] = kept
    return table


def differences(left, right, path=""):
    """Where two answers differ, as (path, left, right); what one side lacks is None there."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            below = f"{path}.{key}" if path else key
            yield from differences(left.get(key), right.get(key), below)
    elif isinstance(left, list) and isinstance(right, list) and left != right and any(map(compound, left + right)):
        for index in range(max(len(left), len(right))):
            pair = [side[index] if index < len(side) else None for side in (left, right)]
            yield from differences(*pair, f"{path}[{index}]")
    elif left != right:
        yield path, left, right


def compound(value):
    """Whether it has parts of its own."""
    return isinstance(value, (dict, list))


def left_out():
    """Lines that say what is left out, and why."""
    lines = []
    for title, keys in [
        ("keys of vtysh's answers", LEFT_OUT),
        ("keys of neighbors with a session", LEFT_OUT_OF_SESSIONS),
        ("keys of neighbors without one", LEFT_OUT_OF_TRIES),
        ("keys of summaries with a neighbor above its limit", LEFT_OUT_OF_OVERFLOWS),
        ("keys of the kernel's routes", LEFT_OUT_OF_KERNEL),
        ("several connected routes to one prefix", LEFT_OUT_OF_CONNECTED),
        ("questions about neighbors that are sent several paths", LEFT_OUT_OF_ADD_PATH),
        (f"states that count as {CONNECTING}", SAME_STATE),
    ]:
        lines.append(f"{title}:")
        lines += [f"  {key:30} {reason}" for key, reason in keys.items()]
    lines.append(f"why the best of {MANY} paths or more is best: the last comparison's reason, and their order is chance")
    lines.append(f"which of several paths is best, where the reason is {BY_AGE}: up to the order in which they came")
    return lines
