//! A real registry (Debian's docker-registry) on the loopback of a host of its own, and images to push to it, which umoci makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Host, Lab, Running, has, run, until};

/// Whether all that registries need is here.
pub fn has_registry() -> bool {
    ["docker-registry", "skopeo", "umoci", "busybox"]
        .iter()
        .all(|it| has(it))
}

/// What a registry asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    Nothing,
    /// The name `tester` and the password `secret`.
    Password,
    /// TLS, with a certificate that only the test knows: `ca.pem` of the lab.
    Tls,
    /// TLS, and from clients that certificate as well (with its key, `key.pem`).
    Certificate,
}

/// Where registries are as well, as if they were on another host (see [`Registry::elsewhere`]).
const ELSEWHERE: &str = "10.99.0.1";

/// A registry that runs as long as this does.
pub struct Registry {
    _server: Running,
    /// Host and port.
    pub place: String,
}

impl Registry {
    /// Starts one on the lab's host. It keeps its contents in the lab's directory.
    pub fn start(lab: &Lab, wants: Wants) -> Registry {
        let port = 5000;
        let mut text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n",
            lab.path("registry").display()
        );
        let mut http = format!("addr: '0.0.0.0:{port}'");
        match wants {
            Wants::Nothing => {}
            Wants::Password => {
                let path = lab.path("htpasswd");
                fs::write(
                    &path,
                    "tester:$2b$04$0us0h0l6d1fV.jdyyTaLwu6xFomtEuTx3tBxU.hnrztgK6xZiURdK\n",
                )
                .unwrap();
                text += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path.display());
            }
            Wants::Tls | Wants::Certificate => {
                let names = ["127.0.0.1", ELSEWHERE].map(str::to_owned);
                let made = rcgen::generate_simple_self_signed(names).unwrap();
                let (ca, key) = (lab.path("ca.pem"), lab.path("key.pem"));
                fs::write(&ca, made.cert.pem()).unwrap();
                fs::write(&key, made.signing_key.serialize_pem()).unwrap();
                let clients = match wants {
                    Wants::Certificate => format!(", clientcas: [{}]", ca.display()),
                    _ => String::new(),
                };
                let (ca, key) = (ca.display(), key.display());
                http += &format!(", tls: {{certificate: {ca}, key: {key}{clients}}}");
            }
        }
        text += &format!("http: {{{http}, secret: test}}\n");
        let config = lab.path("registry.yml");
        fs::write(&config, text).unwrap();
        let mut command = lab.command("docker-registry");
        let server = Running::start(
            command
                .arg("serve")
                .arg(config)
                .env("OTEL_TRACES_EXPORTER", "none"),
        );
        until("the registry", || {
            let listening = run(lab
                .command("ss")
                .args(["-Hltn", "sport", "=", &format!(":{port}")]));
            !listening.out.is_empty()
        });
        Registry {
            _server: server,
            place: format!("127.0.0.1:{port}"),
        }
    }

    /// The host and port of the registry by an address that is not of the loopback's, on the same host.
    pub fn elsewhere(&self, lab: &Lab) -> String {
        let mut add = lab.command("ip");
        run(add.args(["addr", "add", &format!("{ELSEWHERE}/32"), "dev", "lo"])).expect(0);
        self.place.replace("127.0.0.1", ELSEWHERE)
    }

    /// Pushes an image of a layout (`DIR:TAG`).
    pub fn push(&self, lab: &Lab, from: &str, name: &str, more: &[&str]) {
        let mut command = lab.command("skopeo");
        command.args(["copy", "-q", "--dest-tls-verify=false"]).args(more);
        command
            .arg(format!("oci:{from}"))
            .arg(format!("docker://{}/{name}", self.place));
        run(&mut command).expect(0);
    }
}

/// A lab on a host of its own, with a store of its own.
pub fn lab(text: &str) -> Lab {
    Lab::new(text).on(Host::new())
}

/// Images in the making, in the image layout `images` of a lab.
pub struct Images<'a> {
    lab: &'a Lab,
}

impl Images<'_> {
    pub fn new(lab: &Lab) -> Images<'_> {
        let images = Images { lab };
        if !lab.path("images").exists() {
            images.umoci(&["init", "--layout"], None, &[]);
        }
        images
    }

    /// `DIR:TAG` of an image.
    pub fn place(&self, tag: &str) -> String {
        format!("{}:{tag}", self.lab.path("images").display())
    }

    fn umoci(&self, words: &[&str], tag: Option<&str>, rest: &[&str]) {
        let mut command = Command::new("umoci");
        command.args(words);
        match tag {
            Some(tag) => command.arg(self.place(tag)),
            None => command.arg(self.lab.path("images")),
        };
        run(command.args(rest)).expect(0);
    }

    /// A new image without layers.
    pub fn begin(&self, tag: &str) -> &Self {
        self.umoci(&["new", "--image"], Some(tag), &[]);
        self
    }

    /// Adds what a directory has as a layer.
    pub fn layer(&self, tag: &str, root: &Path) -> &Self {
        let file = self.tar(root);
        self.umoci(
            &["raw", "add-layer", "--image"],
            Some(tag),
            &[file.to_str().unwrap()],
        );
        self
    }

    /// Sets what an image says of its program, in the words of `umoci config`.
    pub fn config(&self, tag: &str, words: &[&str]) -> &Self {
        self.umoci(&["config", "--image"], Some(tag), words);
        self
    }

    /// A directory as a tar file.
    pub fn tar(&self, root: &Path) -> PathBuf {
        let file = self.lab.path("layer.tar");
        let mut command = Command::new("tar");
        command
            .arg("--numeric-owner")
            .arg("--xattrs")
            .arg("--xattrs-include=*")
            .arg("-C")
            .arg(root);
        run(command.arg("-cf").arg(&file).arg(".")).expect(0);
        file
    }
}
