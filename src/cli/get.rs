//! `nslab get`.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{complete, print, print_json, select};
use crate::cilium::{Kind, yaml};
use crate::failure::Failure;
use crate::lab::file::suggest;
use crate::run::client::Client;
use crate::run::cluster_nodes::roles;
use crate::run::protocol::{Reply, Request};
use crate::view::table;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo nslab get ciliumbgppeeringpolicies\n  \
    sudo nslab get svc web -o yaml")]
pub struct Args {
    /// The kind of objects, as kubectl takes it
    #[arg(value_name = "KIND")]
    kind: String,
    /// The name of the only one that is wanted
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// How they are printed
    #[arg(
        short,
        long = "output",
        visible_alias = "format",
        value_enum,
        default_value = "text"
    )]
    output: Output,
    /// The lab, where several are running
    #[arg(long, value_name = "LAB", add = complete::labs())]
    lab: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table
    Text,
    /// As YAML
    Yaml,
    /// As JSON
    Json,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let Some(kind) = Kind::meant(&args.kind) else {
        let help = suggest::cure(&args.kind, Kind::words(), "the kinds there are", "");
        return Err(Failure::wrong(format!("there are no objects of kind {:?}", args.kind)).help(help));
    };
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, args.lab.as_deref())?;
    let request = Request::Get {
        kind: kind.name().to_owned(),
        name: args.name.clone(),
    };
    let (Reply::Objects(objects), _) = Client::connect(&lab)?.ask(&request)? else {
        return Err(Failure::host("the supervisor speaks another version of nslab"));
    };
    let whole = || match (&args.name, objects.as_slice()) {
        (Some(_), [object]) => object.clone(),
        _ => json!({ "apiVersion": "v1", "kind": "List", "items": objects.clone() }),
    };
    match args.output {
        Output::Json => print_json(&whole())?,
        Output::Yaml => print(&yaml(&whole())),
        Output::Text => print(&text(kind, &objects)),
    }
    Ok(())
}

fn text(kind: Kind, objects: &[Value]) -> String {
    if objects.is_empty() {
        return match kind {
            Kind::Node => "the lab has no Kubernetes nodes\n".to_owned(),
            _ => "no objects of this kind were applied\n".to_owned(),
        };
    }
    let head: &[&str] = match kind {
        Kind::Node => &["NAME", "STATUS", "ROLES", "VERSION", "INTERNAL-IP", "POD-CIDR"],
        Kind::Service => &[
            "NAMESPACE",
            "NAME",
            "TYPE",
            "CLUSTER-IP",
            "EXTERNAL-IP",
            "PORT(S)",
        ],
        kind if kind.is_namespaced() => &["NAMESPACE", "NAME"],
        _ => &["NAME"],
    };
    let word = |value: &Value| value.as_str().unwrap_or("<none>").to_owned();
    let mut rows = table::table(head);
    for object in objects {
        let mut row = vec![word(&object["metadata"]["name"])];
        if kind.is_namespaced() {
            row.insert(0, word(&object["metadata"]["namespace"]));
        }
        if kind == Kind::Service {
            let spec = &object["spec"];
            row.push(spec["type"].as_str().unwrap_or("ClusterIP").to_owned());
            row.push(word(&spec["clusterIP"]));
            row.push(ingress(object));
            row.push(ports(spec));
        }
        if kind == Kind::Node {
            row.extend(node(object));
        }
        rows.add_row(row);
    }
    table::render(&mut rows)
}

/// The ports of a service as kubectl writes them: `80:30080/TCP`.
fn ports(spec: &Value) -> String {
    let port = |port: &Value| {
        let node = port["nodePort"].as_u64().map(|node| format!(":{node}"));
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        format!("{}{}/{protocol}", port["port"], node.unwrap_or_default())
    };
    match spec["ports"].as_array() {
        Some(all) => all.iter().map(port).collect::<Vec<_>>().join(","),
        None => "<none>".to_owned(),
    }
}

/// What is told of a node beside its name.
fn node(object: &Value) -> Vec<String> {
    let or_none = |words: Vec<String>| match words.is_empty() {
        true => "<none>".to_owned(),
        false => words.join(","),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let conditions = list(&object["status"]["conditions"]);
    let ready = conditions
        .iter()
        .any(|it| it["type"] == "Ready" && it["status"] == "True");
    let addresses = list(&object["status"]["addresses"]);
    let internal = addresses.iter().filter(|it| it["type"] == "InternalIP");
    vec![
        if ready { "Ready" } else { "NotReady" }.to_owned(),
        or_none(roles(object)),
        text(&object["status"]["nodeInfo"]["kubeletVersion"]).unwrap_or_else(|| "<none>".to_owned()),
        or_none(internal.filter_map(|it| text(&it["address"])).collect()),
        or_none(
            list(&object["spec"]["podCIDRs"])
                .iter()
                .filter_map(text)
                .collect(),
        ),
    ]
}

/// The addresses by which a service is reached from outside.
fn ingress(service: &Value) -> String {
    let list = service["status"]["loadBalancer"]["ingress"].as_array();
    let addresses: Vec<&str> = list
        .into_iter()
        .flatten()
        .filter_map(|it| it["ip"].as_str())
        .collect();
    match (addresses.as_slice(), service["spec"]["type"].as_str()) {
        ([], Some("LoadBalancer")) => "<pending>".to_owned(),
        ([], _) => "<none>".to_owned(),
        (addresses, _) => addresses.join(","),
    }
}
