//! How registries are reached: with passwords, certificates and proxies.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::common::registry::{Images, Registry, Wants, has_registry, lab};
use crate::common::{Lab, Running, has, run, until};
use crate::images::layered;

#[test]
fn a_registry_gets_the_password_that_it_wants() {
    if !has_registry() {
        return;
    }
    let lab = lab("");
    let registry = Registry::start(&lab, Wants::Password);
    layered(&lab, "many");
    let place = Images::new(&lab).place("many");
    registry.push(&lab, &place, "private/many:1", &["--dest-creds", "tester:secret"]);
    let name = format!("{}/private/many:1", registry.place);
    let home = lab.path("home");
    fs::create_dir_all(home.join(".docker")).unwrap();
    let pull = |set: &dyn Fn(&mut std::process::Command)| {
        let mut command = lab.nslab(["image", "pull", &name]);
        command
            .env("HOME", &home)
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("REGISTRY_AUTH_FILE");
        set(&mut command);
        run(&mut command)
    };
    pull(&|_| ()).refused(3, &["answers 401", "docker login"]);
    let docker = home.join(".docker/config.json");
    let auths = |secret: &str| json!({"auths": {&registry.place: {"auth": secret}}}).to_string();
    fs::write(&docker, auths("dGVzdGVyOndyb25n")).unwrap();
    pull(&|_| ()).refused(3, &["answers 401"]);
    fs::write(&docker, auths("dGVzdGVyOnNlY3JldA==")).unwrap();
    pull(&|_| ()).expect(0);
    lab.ok(["image", "rm", &name]);
    // By a helper, and by what `skopeo login` writes.
    let bin = lab.path("bin");
    fs::create_dir(&bin).unwrap();
    let helper = bin.join("docker-credential-test");
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {}' ] && echo '{{\"Username\":\"tester\",\"Secret\":\"secret\"}}'\n",
        registry.place
    );
    fs::write(&helper, script).unwrap();
    run(std::process::Command::new("chmod").arg("755").arg(&helper)).expect(0);
    fs::write(
        &docker,
        json!({"credHelpers": {&registry.place: "test"}}).to_string(),
    )
    .unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    pull(&|command| {
        command.env("PATH", &path);
    })
    .expect(0);
    lab.ok(["image", "rm", &name]);
    fs::remove_file(&docker).unwrap();
    let file = lab.path("auth.json");
    let mut login = lab.command("skopeo");
    login.args([
        "login",
        "--tls-verify=false",
        "-u",
        "tester",
        "-p",
        "secret",
        "--authfile",
    ]);
    run(login.arg(&file).arg(&registry.place)).expect(0);
    pull(&|command| {
        command.env("REGISTRY_AUTH_FILE", &file);
    })
    .expect(0);
    pull(&|command| {
        command.env("REGISTRY_AUTH_FILE", lab.path("none"));
    })
    .refused(3, &["REGISTRY_AUTH_FILE"]);
}

#[test]
fn a_certificate_that_nobody_knows_is_refused() {
    if !has_registry() {
        return;
    }
    let lab = lab("");
    let registry = Registry::start(&lab, Wants::Tls);
    layered(&lab, "many");
    registry.push(&lab, &Images::new(&lab).place("many"), "library/many:1", &[]);
    let name = format!("{}/library/many:1", registry.place);
    lab.run(["image", "pull", &name]).refused(3, &["--ca"]);
    lab.run(["image", "pull", "--insecure", &registry.place, &name])
        .refused(3, &["--ca"]);
    let ca = lab.path("ca.pem");
    lab.ok(["image", "pull", "--ca", ca.to_str().unwrap(), &name]);
    lab.run(["image", "pull", "--ca", lab.file(), &name])
        .refused(2, &["no certificates"]);
    // The same by another name.
    let out = lab.ok([
        "image",
        "pull",
        "--ca",
        ca.to_str().unwrap(),
        "--mirror",
        &format!("docker.io={}", registry.place),
        "docker.io/many:1",
    ]);
    assert!(out.starts_with("docker.io/library/many:1 sha256:"), "{out}");
}

/// Debian's tinyproxy, which wants a password, on the lab's host. Returns where it is, and its log.
fn proxy(lab: &Lab) -> (Running, String, PathBuf) {
    let (config, log) = (lab.path("proxy.conf"), lab.path("proxy.log"));
    let text = format!(
        "Port 8888\nListen 127.0.0.1\nTimeout 60\nBasicAuth tester secret\nLogLevel Connect\nLogFile \"{}\"\nPidFile \"{}\"\n",
        log.display(),
        lab.path("proxy.pid").display()
    );
    fs::write(&config, text).unwrap();
    let running = Running::start(lab.command("tinyproxy").arg("-d").arg("-c").arg(config));
    until("the proxy", || {
        let listening = run(lab.command("ss").args(["-Hltn", "sport", "=", ":8888"]));
        !listening.out.is_empty()
    });
    (running, "127.0.0.1:8888".to_owned(), log)
}

/// A registry that is away from the lab's host, and a proxy there.
struct Away {
    lab: Lab,
    _registry: Registry,
    /// Where the registry is.
    place: String,
    _proxy: Running,
    /// Where the proxy is.
    at: String,
    /// The proxy's log.
    log: PathBuf,
}

/// A registry with an image. None where there are no programs for that.
fn away(wants: Wants) -> Option<Away> {
    if !has_registry() || !has("tinyproxy") {
        return None;
    }
    let lab = lab("");
    let registry = Registry::start(&lab, wants);
    let place = registry.elsewhere(&lab);
    layered(&lab, "many");
    registry.push(&lab, &Images::new(&lab).place("many"), "library/many:1", &[]);
    let (proxy, at, log) = proxy(&lab);
    Some(Away {
        lab,
        _registry: registry,
        place,
        _proxy: proxy,
        at,
        log,
    })
}

#[test]
fn registries_are_reached_by_the_proxy_of_the_environment() {
    let Some(away) = away(Wants::Tls) else {
        return;
    };
    let Away {
        lab, place, at, log, ..
    } = &away;
    let name = format!("{place}/library/many:1");
    let ca = lab.path("ca.pem");
    let pull = |variables: &[(&str, &str)]| {
        let mut command = lab.nslab(["image", "pull", "--ca", ca.to_str().unwrap(), &name]);
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command
                .env_remove(variable)
                .env_remove(variable.to_ascii_lowercase());
        }
        run(command.envs(variables.iter().copied()))
    };
    let logged = || {
        fs::read_to_string(log)
            .unwrap_or_default()
            .matches("CONNECT 10.99.0.1:5000")
            .count()
    };
    let with_password = format!("http://tester:secret@{at}");
    pull(&[("HTTPS_PROXY", with_password.as_str())]).expect(0);
    assert!(logged() > 0);
    lab.ok(["image", "rm", &name]);
    // Without the password, with a proxy that is not there, and with what is none.
    pull(&[("https_proxy", at.as_str())])
        .refused(3, &["the proxy 127.0.0.1:8888 wants a password", "NO_PROXY"]);
    pull(&[("HTTPS_PROXY", "http://127.0.0.1:9")])
        .refused(3, &["by the proxy 127.0.0.1:9 cannot be reached"]);
    let wrong = pull(&[("HTTPS_PROXY", "socks5://tester:secret@127.0.0.1:9")]);
    assert!(!wrong.err.contains("secret"), "{}", wrong.err);
    wrong.refused(2, &["HTTPS_PROXY names no proxy"]);
    // Some registries are reached without it.
    let before = logged();
    for without in ["10.99.0.0/16", "other.example,10.99.0.1:5000", "*"] {
        pull(&[("HTTPS_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", without)]).expect(0);
        lab.ok(["image", "rm", &name]);
    }
    // Its variable is for other servers.
    pull(&[("HTTP_PROXY", "http://127.0.0.1:9")]).expect(0);
    assert_eq!(logged(), before);
}

#[test]
fn a_proxy_passes_on_what_is_asked_without_tls() {
    let Some(away) = away(Wants::Nothing) else {
        return;
    };
    let Away {
        lab, place, at, log, ..
    } = &away;
    let mirror = format!("docker.io=http://{place}");
    let pull = |proxy: &str| {
        let mut command = lab.nslab(["image", "pull", "--mirror", &mirror, "docker.io/many:1"]);
        // Docker Hub itself is not to be asked.
        run(command
            .env("HTTP_PROXY", proxy)
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env_remove("NO_PROXY"))
    };
    pull(at).refused(3, &["the proxy 127.0.0.1:8888 wants a password"]);
    pull(&format!("http://tester:secret@{at}")).expect(0);
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains("GET http://10.99.0.1:5000/v2/library/many/manifests/1"),
        "{log}"
    );
}

#[test]
fn a_registry_has_certificates_of_its_own() {
    if !has_registry() {
        return;
    }
    let lab = lab("");
    let registry = Registry::start(&lab, Wants::Certificate);
    layered(&lab, "many");
    let own = lab.path("config/containers/certs.d").join(&registry.place);
    fs::create_dir_all(&own).unwrap();
    let (ca, key) = (lab.path("ca.pem"), lab.path("key.pem"));
    fs::copy(&ca, own.join("client.cert")).unwrap();
    fs::copy(&key, own.join("client.key")).unwrap();
    let more = ["--dest-cert-dir", own.to_str().unwrap()];
    registry.push(&lab, &Images::new(&lab).place("many"), "library/many:1", &more);
    let name = format!("{}/library/many:1", registry.place);
    let place = &registry.place;
    let (shown_ca, shown_key) = (ca.display(), key.display());
    let pull = |words: &[&str]| {
        let mut all = vec!["image", "pull", name.as_str()];
        all.extend(words);
        lab.run(all)
    };
    let for_it = format!("{place}={shown_ca}");
    let for_another = format!("registry.example={shown_ca}");
    let client = format!("{place}={shown_ca},{shown_key}");
    pull(&["--ca", &for_another, "--client", &client]).refused(3, &["certs.d/127.0.0.1:5000"]);
    pull(&["--ca", &for_it]).refused(3, &["certificate of yours", "--client"]);
    pull(&["--ca", &for_it, "--client", &client]).expect(0);
    pull(&["--client", place]).refused(2, &["is not HOST[:PORT]=CERT,KEY"]);
    lab.ok(["image", "rm", &name]);
    // Where Docker and Podman look for them.
    let config = lab.path("config");
    let pull = || {
        run(lab
            .nslab(["image", "pull", &name])
            .env("XDG_CONFIG_HOME", &config))
    };
    pull().refused(3, &["certs.d/127.0.0.1:5000"]);
    fs::copy(&ca, own.join("ca.crt")).unwrap();
    pull().expect(0);
    lab.ok(["image", "rm", &name]);
    fs::remove_file(own.join("client.key")).unwrap();
    pull().refused(2, &["client.cert is there, but not"]);
    // In a lab file.
    let locked = |keys: &str| {
        let text = format!(
            "name = \"l\"\n[images.registry.\"{place}\"]\n{keys}\n[nodes.a]\nkind = \"host\"\nimage = \"{name}\"\n"
        );
        fs::write(lab.path("own.toml"), text).unwrap();
        let path = lab.path("own.toml");
        lab.run(["image", "lock", path.to_str().unwrap()])
    };
    locked("ca = \"ca.pem\"\ncert = \"ca.pem\"\nkey = \"key.pem\"").expect(0);
    locked("ca = \"ca.pem\"").refused(3, &["certificate of yours"]);
    locked("cert = \"ca.pem\"").refused(2, &["write both `cert` and `key`"]);
    locked("ca = \"none.pem\"").refused(2, &["none.pem", "relative to the lab file"]);
    locked("insecure = 1").refused(2, &["true or false"]);
    locked("certificate = \"x\"").refused(2, &["`certificate`"]);
}
