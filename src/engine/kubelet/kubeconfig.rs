//! Kubeconfigs (kubectl's `config` of API version v1): a way to an API server for somebody.

use serde_json::{Value, json};

/// A way to an API server: certificates and a key in PEM, each as base 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The authority that the server's certificate is of.
    pub authority: String,
    /// The client's certificate.
    pub certificate: String,
    /// The client's key.
    pub key: String,
}

impl Access {
    /// Reads a kubeconfig of nslab's own that stood where others could write. Of all that such a file may hold, commands to
    /// execute and files to send among it, these three texts alone are taken.
    pub fn read(text: &[u8]) -> Option<Access> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let (cluster, user) = (&value["clusters"][0]["cluster"], &value["users"][0]["user"]);
        Some(Access {
            authority: data(cluster, "certificate-authority-data")?,
            certificate: data(user, "client-certificate-data")?,
            key: data(user, "client-key-data")?,
        })
    }

    /// A kubeconfig that leads to this server.
    pub fn kubeconfig(&self, server: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "nslab",
            "clusters": [{ "name": "nslab", "cluster": {
                "server": server, "certificate-authority-data": self.authority } }],
            "users": [{ "name": "nslab", "user": {
                "client-certificate-data": self.certificate, "client-key-data": self.key } }],
            "contexts": [{ "name": "nslab", "context": { "cluster": "nslab", "user": "nslab" } }],
        })
    }
}

fn data(of: &Value, key: &str) -> Option<String> {
    let text = of[key].as_str()?;
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    (!text.is_empty() && text.bytes().all(is_digit)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access {
            authority: "Y2E=".to_owned(),
            certificate: "Y2VydA==".to_owned(),
            key: "a2V5".to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = access().kubeconfig("https://10.0.0.1:6443").to_string();
        assert_eq!(Access::read(text.as_bytes()), Some(access()));
    }

    #[test]
    fn nothing_else_of_a_file_is_taken() {
        let good = access().kubeconfig("https://10.0.0.1:6443");
        let mut evil = good.clone();
        evil["users"][0]["user"]["exec"] =
            json!({ "command": "/bin/sh", "args": ["-c", "id"], "apiVersion": "v1" });
        evil["users"][0]["user"]["auth-provider"] =
            json!({ "name": "gcp", "config": { "cmd-path": "/bin/sh" } });
        evil["users"][0]["user"]["tokenFile"] = json!("/etc/shadow");
        evil["clusters"][0]["cluster"]["proxy-url"] = json!("http://192.0.2.1");
        evil["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = json!(true);
        evil["users"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "name": "other" }));
        evil["extensions"] = json!([{ "name": "x" }]);
        let access = Access::read(evil.to_string().as_bytes()).unwrap();
        assert_eq!(access.kubeconfig("https://10.0.0.1:6443"), good);
    }

    #[test]
    fn what_is_no_data_is_refused() {
        let good = access().kubeconfig("https://10.0.0.1:6443");
        for bad in [
            json!("a\nb"),
            json!("not base 64"),
            json!(""),
            json!(7),
            json!(null),
        ] {
            let mut file = good.clone();
            file["users"][0]["user"]["client-key-data"] = bad;
            assert_eq!(Access::read(file.to_string().as_bytes()), None);
        }
        for text in ["", "[]", "{}", "apiVersion: v1", "{\"users\":7}"] {
            assert_eq!(Access::read(text.as_bytes()), None, "{text}");
        }
    }
}
