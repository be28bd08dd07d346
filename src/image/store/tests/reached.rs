//! How registries are reached: with passwords, by mirrors and proxies.

use super::*;

#[test]
fn passwords_are_shown_to_those_they_are_for() {
    let (mut scene, server, other) = (Scene::new(), Server::new(), Server::new());
    let put = server.image("a", "1", &[layer("x", b"one")]);
    let content = put.layers[0].clone();
    let path = format!("a/blobs/{}", Digest::of(&content));
    other.put(&path, "", &content);
    let host = (server.host.clone(), other.host.clone());
    server.fault(move |asked| {
        let shown = asked.headers.get("authorization").map(String::as_str);
        if asked.path.starts_with("/token") {
            assert!(
                asked.path.contains("scope=repository%3Aa%3Apull") && asked.path.contains("service=s"),
                "{}",
                asked.path
            );
            let is_right = shown == Some("Basic bmFtZTpwYXNz");
            let body = if is_right {
                br#"{"token":"tok"}"#.to_vec()
            } else {
                Vec::new()
            };
            return Some(Reply {
                body,
                ..Reply::status(if is_right { 200 } else { 401 })
            });
        }
        if asked.path.contains("/v2/a/") && shown != Some("Bearer tok") {
            let challenge = format!(
                r#"Bearer realm="http://{}/token",service="s",scope="repository:a:pull""#,
                host.0
            );
            return Some(Reply::status(401).with("WWW-Authenticate", &challenge));
        }
        let is_layer = asked.path.contains("blobs") && asked.path.contains(Digest::of(&content).hex());
        is_layer.then(|| Reply::status(307).with("Location", &format!("http://{}{}", host.1, asked.path)))
    });
    let name = server.name("a:1");
    let error = scene.pull(&name).unwrap_err();
    assert_eq!(error.kind, Kind::Denied);
    let auth = scene.directory.path().join("auth.json");
    let write = |auth: &Path, secret: &str| {
        fs::write(
            auth,
            format!(r#"{{"auths":{{"{}":{{"auth":"{secret}"}}}}}}"#, server.host),
        )
        .unwrap()
    };
    write(&auth, "bmFtZTp3cm9uZw==");
    scene.store.network.credentials.named = Some(auth.clone());
    assert_eq!(scene.pull(&name).unwrap_err().kind, Kind::Denied);
    assert!(server.asked().len() < 20);
    write(&auth, "bmFtZTpwYXNz");
    scene.pull(&name).unwrap();
    assert_eq!(other.asked_for("blobs"), 1);
    assert!(
        other
            .asked()
            .iter()
            .all(|it| !it.headers.contains_key("authorization"))
    );
}

#[test]
fn basic_passwords_stay_at_home() {
    let (mut scene, server, other) = (Scene::new(), Server::new(), Server::new());
    server.image("a", "1", &[layer("x", b"one")]);
    let away = other.host.clone();
    server.fault(move |asked| {
        match (
            asked.path.contains("/v2/a/"),
            asked.headers.get("authorization").map(String::as_str),
        ) {
            (true, Some("Basic bmFtZTpwYXNz")) if asked.path.contains("blobs") => {
                Some(Reply::status(302).with("Location", &format!("http://{away}/elsewhere")))
            }
            (true, Some("Basic bmFtZTpwYXNz")) | (false, _) => None,
            _ => Some(Reply::status(401).with("WWW-Authenticate", r#"Basic realm="r""#)),
        }
    });
    // Whoever is led elsewhere is not to show it there, even when asked.
    other.fault(|asked| {
        asked
            .path
            .contains("elsewhere")
            .then(|| Reply::status(401).with("WWW-Authenticate", r#"Basic realm="r""#))
    });
    let auth = scene.directory.path().join("auth.json");
    let text = format!(
        r#"{{"auths":{{"{}":{{"auth":"bmFtZTpwYXNz"}},"{}":{{"auth":"b3RoZXI6eA=="}}}}}}"#,
        server.host, other.host
    );
    fs::write(&auth, text).unwrap();
    scene.store.network.credentials.named = Some(auth);
    assert_eq!(scene.pull(&server.name("a:1")).unwrap_err().kind, Kind::Denied);
    assert!(other.asked_for("elsewhere") > 0);
    assert!(
        other
            .asked()
            .iter()
            .all(|it| !it.headers.contains_key("authorization"))
    );
}

#[test]
fn mirrors_are_asked_first() {
    let (mut scene, server, mirror) = (Scene::new(), Server::new(), Server::new());
    server.image("a", "1", &[layer("x", b"theirs")]);
    server.image("a", "2", &[layer("x", b"only here")]);
    mirror.image("copy/a", "1", &[layer("x", b"mirrored")]);
    let places = vec!["127.0.0.1:1".to_owned(), format!("http://{}/copy", mirror.host)];
    scene.registries.mirrors = BTreeMap::from([(server.host.clone(), places)]);
    scene.store.network.timing.attempts = 1;
    assert_eq!(
        file(&scene.pull(&server.name("a:1")).unwrap(), 0, "x"),
        b"mirrored"
    );
    assert_eq!(server.asked().len(), 0);
    assert_eq!(
        file(&scene.pull(&server.name("a:2")).unwrap(), 0, "x"),
        b"only here"
    );
    let error = scene.pull(&server.name("a:3")).unwrap_err();
    assert!(error.message.contains("127.0.0.1:1 cannot be reached"), "{error}");
    scene.registries.mirrors = BTreeMap::from([(server.host.clone(), vec!["ftp://x".to_owned()])]);
    assert!(
        scene
            .pull(&server.name("a:4"))
            .unwrap_err()
            .message
            .contains("`ftp://x`")
    );
}

#[test]
fn a_proxy_passes_requests_on() {
    let (mut scene, server) = (Scene::new(), Server::new());
    server.image("a", "1", &[layer("x", b"one")]);
    // A name that is nowhere: only the proxy knows it.
    let registry = "registry.invalid:5000";
    let other = format!("http://{registry}");
    scene
        .registries
        .mirrors
        .insert("q.invalid".to_owned(), vec![other]);
    let by = |place: &str| {
        let find = |name: &str| (name == "HTTP_PROXY").then(|| place.to_owned());
        Some(Proxies::of(find).unwrap())
    };
    scene.store.network.proxies = by(&format!("http://tester:secret@{}", server.host));
    server.fault(|asked| {
        let is_known = asked
            .headers
            .get("proxy-authorization")
            .is_some_and(|it| it == "Basic dGVzdGVyOnNlY3JldA==");
        (!is_known).then(|| Reply::status(407))
    });
    let name = format!(
        "q.invalid/a@{}",
        Digest::of(&server.image("a", "1", &[layer("x", b"one")]).manifest)
    );
    scene.pull(&name).unwrap();
    assert!(
        server
            .asked()
            .iter()
            .all(|it| it.headers["proxy-for"] == registry && it.headers["host"] == registry)
    );
    // Without the password, and by one that is not there.
    let (mut other, closed) = (Scene::new(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    other.registries = scene.registries.clone();
    other.store.network.proxies = by(&server.host);
    // The registry itself cannot be reached here; what is said of the mirror stands beside that.
    let error = other.refusal(&name);
    assert!(
        error
            .message
            .contains(&format!("the proxy {} wants a password", server.host)),
        "{error}"
    );
    let place = closed.local_addr().unwrap().to_string();
    drop(closed);
    other.store.network.timing.attempts = 1;
    other.store.network.proxies = by(&place);
    let error = other.refusal(&name);
    assert!(
        error
            .message
            .contains(&format!("by the proxy {place} cannot be reached")),
        "{error}"
    );
}
