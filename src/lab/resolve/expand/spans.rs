//! The places of what a kind's file says. Each value of it is told at the place in the lab file where the kind is named: what stands
//! in another file has no place there.

use crate::file::{
    AddressesSpec, BindSpec, ConfigSpec, ContentSpec, FileSpec, ImageSpec, InterfaceSpec, LimitsSpec,
    MgmtPortSpec, MountSpec, NextHopSpec, NodeSpec, PodSpec, RouteActionSpec, RouteSpec, Span, Spanned,
};

/// Gives everything that a kind says of a node one place. No field is passed over: one that is new has to be named here.
pub(super) fn set(node: &mut NodeSpec, span: &Span) {
    let NodeSpec {
        kind,
        vendor,
        model,
        license,
        of_kind: _,
        group,
        engine,
        image,
        hostname,
        aliases,
        network,
        mgmt,
        ports,
        masquerade,
        ready_routes,
        labels,
        named_ports,
        addresses,
        interfaces,
        routes,
        sysctls,
        dad,
        config,
        env,
        files,
        binds,
        mounts,
        exec: _,
        after_ready: _,
        run,
        wait_for,
        startup_delay,
        cpu,
        memory,
        privileged,
        capabilities,
        show_host,
        user_namespace,
        limits,
        role,
        taints,
        node_ips,
        pods,
    } = node;
    one(kind, span);
    one(engine, span);
    for text in [vendor, model, license, group, hostname, network] {
        one(text, span);
    }
    set_image(image, span);
    for texts in [aliases, masquerade, capabilities, show_host, taints] {
        all(texts, span);
    }
    all(ports, span);
    all(ready_routes, span);
    all(run, span);
    all(wait_for, span);
    all(node_ips, span);
    one(mgmt, span);
    if let Some(Spanned {
        value: MgmtPortSpec {
            wanted: _,
            ipv4,
            ipv6,
        },
        ..
    }) = mgmt
    {
        one(ipv4, span);
        one(ipv6, span);
    }
    for value in labels
        .values_mut()
        .chain(sysctls.values_mut())
        .chain(env.values_mut())
    {
        value.span = span.clone();
    }
    for port in named_ports.values_mut() {
        port.span = span.clone();
    }
    for AddressesSpec { interface, nets } in addresses {
        interface.span = span.clone();
        each(nets, span);
    }
    for one in interfaces {
        set_interface(one, span);
    }
    for route in routes.iter_mut().flatten() {
        route.span = span.clone();
        set_route(&mut route.value, span);
    }
    for truth in [dad, privileged, user_namespace] {
        one(truth, span);
    }
    one(config, span);
    if let Some(Spanned {
        value: ConfigSpec::File(path),
        ..
    }) = config
    {
        path.span = span.clone();
    }
    for FileSpec {
        path,
        content,
        mode: _,
        owner: _,
    } in files
    {
        path.span = span.clone();
        if let ContentSpec::From(path) = content {
            path.span = span.clone();
        }
    }
    for BindSpec {
        source,
        target: _,
        read_only: _,
    } in binds
    {
        source.span = span.clone();
    }
    for MountSpec { target, what: _ } in mounts {
        target.span = span.clone();
    }
    one(startup_delay, span);
    one(cpu, span);
    one(memory, span);
    one(role, span);
    let LimitsSpec {
        processes,
        disk,
        log,
        open_files,
    } = limits;
    for limit in [processes, disk, log, open_files] {
        one(limit, span);
    }
    one(pods, span);
    for PodSpec { name, node } in pods.iter_mut().flat_map(|pods| &mut pods.value) {
        name.span = span.clone();
        set(node, span);
    }
}

fn set_image(image: &mut ImageSpec, span: &Span) {
    let ImageSpec {
        source,
        pull,
        entrypoint,
        cmd,
        user,
        workdir,
        healthcheck,
        stop_signal,
        init,
        restart,
        terminal,
    } = image;
    one(source, span);
    one(pull, span);
    for words in [entrypoint, cmd] {
        one(words, span);
    }
    for text in [user, workdir, stop_signal] {
        one(text, span);
    }
    one(healthcheck, span);
    one(init, span);
    one(restart, span);
    one(terminal, span);
}

fn set_interface(interface: &mut InterfaceSpec, span: &Span) {
    let InterfaceSpec {
        name,
        kind,
        device: _,
        partial: _,
        link,
        master,
        ports,
        mtu,
        mac,
        addresses,
        late,
        pvid,
        tagged,
        untagged,
    } = interface;
    name.span = span.clone();
    one(kind, span);
    one(link, span);
    one(master, span);
    each(ports, span);
    one(mtu, span);
    one(mac, span);
    each(addresses, span);
    one(late, span);
    one(pvid, span);
    one(tagged, span);
    one(untagged, span);
}

fn set_route(route: &mut RouteSpec, span: &Span) {
    let RouteSpec {
        to,
        action,
        metric: _,
        table: _,
        vrf,
    } = route;
    to.span = span.clone();
    one(vrf, span);
    if let RouteActionSpec::Forward(hops) = action {
        for NextHopSpec { via, dev, weight: _ } in hops {
            one(via, span);
            one(dev, span);
        }
    }
}

fn one<T>(value: &mut Option<Spanned<T>>, span: &Span) {
    each(value, span);
}

fn all<T>(values: &mut Option<Vec<Spanned<T>>>, span: &Span) {
    each(values.iter_mut().flatten(), span);
}

fn each<'a, T: 'a>(values: impl IntoIterator<Item = &'a mut Spanned<T>>, span: &Span) {
    for value in values {
        value.span = span.clone();
    }
}
