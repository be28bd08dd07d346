//! `nslab image`.

use std::path::Path;

use crate::image::source::Source;
use crate::image::store::{Collected, Image, Listed, Pull, Store};
use crate::image::{Reference, Registries};
use clap::Subcommand;

use super::{Format, complete, image_lock, print, print_json, report};
use crate::failure::Failure;
use crate::kernel::rootless::{self, is_rootless};
use crate::view::image::ImageProgress;
use crate::view::{table, units};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo nslab image pull frrouting/frr:v8.2.2\n  \
    sudo nslab image pull --insecure 10.0.0.1:5000 10.0.0.1:5000/lab/router\n  \
    sudo nslab image import cEOS64-lab.tar.xz ceos:4.32.0F       a root file system\n  \
    sudo nslab image import srlinux.tar                          what `docker save` has written\n  \
    sudo nslab image ls\n\n\
    Images are kept in /var/lib/nslab/images (without root: ~/.local/share/nslab/images; NSLAB_IMAGE_DIR names another\n\
    place), which skopeo and umoci read as `oci:/var/lib/nslab/images:NAME`.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring images into the store, or bring them up to date
    Pull(PullArgs),
    /// List the images of the store
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Remove images that no lab uses, and what they alone needed
    Rm(RemoveArgs),
    /// Remove what no image needs, and what killed commands left
    Gc(GcArgs),
    /// Bring an image from a file: of `docker save`, an OCI archive or directory, a root file system in a tar file
    Import(ImportArgs),
    /// Write an image into a file or a directory
    Export(ExportArgs),
    /// Show what an image says of itself, and where its layers are
    Inspect(InspectArgs),
    /// Write down which content the names of a lab's images stand for, for `up` to hold to
    Lock(image_lock::Args),
}

/// How registries are reached.
#[derive(Debug, clap::Args)]
struct Reach {
    /// A registry that may be spoken to without TLS; those of this host may always
    #[arg(long, value_name = "HOST[:PORT]")]
    insecure: Vec<String>,
    /// Certificates (PEM) that are trusted beside the host's, for all registries or for one
    #[arg(long, value_name = "[HOST[:PORT]=]FILE")]
    ca: Vec<String>,
    /// The certificate that a registry is shown, and its key (PEM)
    #[arg(long, value_name = "HOST[:PORT]=CERT,KEY")]
    client: Vec<String>,
    /// Another place that is asked first for images of a registry: docker.io=mirror.example.net
    #[arg(long, value_name = "REGISTRY=PLACE")]
    mirror: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab image pull alpine ghcr.io/nokia/srlinux:24.10.1\n  \
    sudo nslab image pull --mirror docker.io=mirror.example.net alpine\n  \
    sudo nslab image pull docker-daemon:vrnetlab/vr-vmx:22.1    an image that Docker has\n\n\
    Names and passwords are those of `docker login` and `podman login`: REGISTRY_AUTH_FILE,\n\
    ${XDG_RUNTIME_DIR}/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json. Under sudo these are\n\
    root's. A download that breaks off goes on where it was the next time."
)]
struct PullArgs {
    #[command(flatten)]
    reach: Reach,
    /// Leave images alone that the store has
    #[arg(long)]
    missing: bool,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value = "text")]
    format: Format,
    /// As Docker names them; or oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME, containers-storage:NAME
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab image ls\n  sudo nslab image ls --format json | jq -r '.[].name'"
)]
struct ListArgs {
    /// How the list is printed
    #[arg(short, long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab image rm alpine:3.19\n  sudo nslab image rm 1f2e3d4c5b6a      by a beginning of its digest"
)]
struct RemoveArgs {
    #[arg(value_name = "IMAGE", required = true, add = complete::images())]
    images: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab image gc\n  sudo nslab image gc --all      also all images that no lab uses now"
)]
struct GcArgs {
    /// Also images that no lab uses now
    #[arg(short, long)]
    all: bool,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab image import srlinux-24.10.1.tar.gz\n  \
    sudo nslab image import cEOS64-lab-4.32.0F.tar.xz ceos:4.32.0F\n  \
    sudo nslab image import oci:build:latest lab/router:1\n\n\
    What is compressed with gzip, zstd, xz or bzip2 is decompressed."
)]
struct ImportArgs {
    /// A file, or oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], docker-daemon:NAME, containers-storage:NAME
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: String,
    /// What it is called; needed where the file does not say
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab image export lab/router:1 router.tar\n  \
    sudo nslab image export lab/router:1 docker-archive:router.tar      for `docker load`\n  \
    sudo nslab image export lab/router:1 oci:router"
)]
struct ExportArgs {
    #[arg(value_name = "IMAGE", add = complete::images())]
    image: String,
    /// oci-archive:FILE (or only FILE), docker-archive:FILE, oci:DIR
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: String,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab image inspect alpine\n  sudo nslab image inspect -f json alpine | jq .config.env"
)]
struct InspectArgs {
    /// How it is printed
    #[arg(short, long, value_enum, default_value = "text")]
    format: Format,
    #[arg(value_name = "IMAGE", add = complete::images())]
    image: String,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let only_looks = matches!(
        args.verb,
        Verb::Ls(_) | Verb::Export(_) | Verb::Inspect(_) | Verb::Lock(_)
    );
    if is_rootless() && !only_looks {
        // Files of an image belong to many users: those that are set aside for this one.
        rootless::become_root().map_err(|error| crate::run::rootless::explain(error.into()))?;
    }
    let store = Store::open(&Store::usual_place())?;
    match args.verb {
        Verb::Pull(args) => pull(&store, args),
        Verb::Ls(args) => list(&store, &args),
        Verb::Rm(args) => remove(&store, &args),
        Verb::Gc(args) => collect(&store, &args),
        Verb::Import(args) => import(&store, &args),
        Verb::Export(args) => export(&store, &args),
        Verb::Inspect(args) => inspect(&store, &args),
        Verb::Lock(args) => image_lock::run(&store, &args),
    }
}

impl Reach {
    fn registries(self) -> Result<Registries, Failure> {
        let mut registries = Registries {
            insecure: self.insecure,
            ..Registries::default()
        };
        for text in self.ca {
            // A path with `=` in it begins with `./` or `/`.
            match text.split_once('=').filter(|(host, _)| !host.contains('/')) {
                Some((host, file)) => {
                    let one = registries.registry.entry(host.to_ascii_lowercase()).or_default();
                    one.ca = Some(file.into());
                }
                None => registries.ca = Some(text.into()),
            }
        }
        for text in self.client {
            let parts = text
                .split_once('=')
                .and_then(|(host, files)| Some((host, files.split_once(',')?)));
            let Some((host, (cert, key))) = parts else {
                return Err(Failure::wrong(format!("`{text}` is not HOST[:PORT]=CERT,KEY")));
            };
            let one = registries.registry.entry(host.to_ascii_lowercase()).or_default();
            (one.cert, one.key) = (Some(cert.into()), Some(key.into()));
        }
        for text in self.mirror {
            let Some((registry, place)) = text.split_once('=') else {
                return Err(Failure::wrong(format!("`{text}` is not REGISTRY=PLACE")));
            };
            let places = registries.mirrors.entry(registry.to_owned()).or_default();
            places.push(place.to_owned());
        }
        Ok(registries)
    }
}

/// Brings an image, and shows how it comes.
fn bring(
    action: impl FnOnce(&dyn Fn(crate::image::store::Progress)) -> crate::image::error::Result<Image>,
) -> Result<Image, Failure> {
    let progress = ImageProgress::new();
    let result = action(&|step| progress.show(step));
    match &result {
        Ok(_) => progress.finish(),
        Err(_) => progress.give_up(),
    }
    Ok(result?)
}

fn pull(store: &Store, args: PullArgs) -> Result<(), Failure> {
    let registries = args.reach.registries()?;
    let policy = if args.missing { Pull::Missing } else { Pull::Always };
    let mut failed = None;
    let mut pulled = Vec::new();
    for text in &args.images {
        let source = source(text)?;
        match bring(|progress| store.ensure(&source, policy, &registries, progress)) {
            Ok(image) => pulled.push(image),
            Err(failure) => {
                // One that cannot be had does not keep the others away.
                if let Some(earlier) = failed.replace(failure) {
                    report(&earlier);
                }
            }
        }
    }
    if args.format == Format::Json {
        let all: Vec<_> = pulled.iter().map(described).collect();
        print_json(&all)?;
    } else {
        pulled
            .iter()
            .for_each(|it| print(&format!("{} {}\n", it.name, it.digest)));
    }
    failed.map_or(Ok(()), Err)
}

/// What the store can have.
fn source(text: &str) -> Result<Source, Failure> {
    let source: Source = text.parse().map_err(Failure::wrong)?;
    match source {
        Source::Directory(path) => Err(Failure::wrong(format!("{} is used where it is", path.display()))),
        source => Ok(source),
    }
}

fn list(store: &Store, args: &ListArgs) -> Result<(), Failure> {
    let images = store.list()?;
    if args.format == Format::Json {
        return print_json(&images);
    }
    if images.is_empty() {
        print("there are no images\n");
        return Ok(());
    }
    let mut rows = table::table(&["IMAGE", "DIGEST", "SIZE", "LAYERS", "CREATED", "USED"]);
    for image in images {
        let Listed {
            name,
            digest,
            created,
            layers,
            size,
            in_use,
            ..
        } = image;
        let created = created.map(|it| it.chars().take(10).collect());
        rows.add_row([
            name,
            short(&digest),
            units::size(size),
            layers.to_string(),
            created.unwrap_or_else(|| "-".to_owned()),
            if in_use { "yes" } else { "-" }.to_owned(),
        ]);
    }
    print(&table::render(&mut rows));
    Ok(())
}

fn short(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.chars().take(12).collect()
}

fn remove(store: &Store, args: &RemoveArgs) -> Result<(), Failure> {
    let mut failed: Option<Failure> = None;
    for name in &args.images {
        match store.remove(name) {
            Ok(removed) => print(&format!("removed {}\n", removed.name)),
            Err(error) => {
                if let Some(earlier) = failed.replace(error.into()) {
                    report(&earlier);
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn collect(store: &Store, args: &GcArgs) -> Result<(), Failure> {
    let collected = store.collect(args.all)?;
    if args.format == Format::Json {
        return print_json(&collected);
    }
    for name in &collected.images {
        print(&format!("removed {name}\n"));
    }
    let Collected {
        blobs,
        bytes,
        layers,
        leftovers,
        ..
    } = collected;
    if blobs + layers + leftovers == 0 {
        print("nothing was left\n");
        return Ok(());
    }
    let contents = units::count(blobs, "content");
    print(&format!(
        "removed {contents} ({}), {} and {} of killed commands\n",
        units::size(bytes),
        units::count(layers, "layer"),
        units::count(leftovers, "directory").replace("directorys", "directories")
    ));
    Ok(())
}

fn import(store: &Store, args: &ImportArgs) -> Result<(), Failure> {
    let name = args.name.as_deref().map(str::parse::<Reference>).transpose()?;
    let file = Path::new(&args.file);
    let image = match file.exists() {
        true => bring(|progress| store.import_file(file, name.as_ref(), progress))?,
        false => {
            let source = source(&args.file)?;
            bring(|progress| store.import(&source, name.as_ref(), progress))?
        }
    };
    print(&format!("{} {}\n", image.name, image.digest));
    Ok(())
}

fn export(store: &Store, args: &ExportArgs) -> Result<(), Failure> {
    let target = match args.file.parse().map_err(Failure::wrong)? {
        Source::Registry(file) => Source::OciArchive(file.into(), None),
        other => other,
    };
    Ok(store.export(&args.image, &target)?)
}

fn inspect(store: &Store, args: &InspectArgs) -> Result<(), Failure> {
    let image = store.open_image(&args.image)?;
    if args.format == Format::Json {
        return print_json(&described(&image));
    }
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            text += &format!("{key:<13}{value}\n");
        }
    };
    let config = &image.config;
    line("name", &image.name);
    line("digest", &image.digest);
    line("for", &image.architecture);
    line("size", &units::size(image.size));
    line("entrypoint", &shell_words::join(&config.entrypoint));
    line("cmd", &shell_words::join(&config.cmd));
    line("user", &config.user);
    line("workdir", &config.workdir);
    line("stop signal", config.stop_signal.as_deref().unwrap_or_default());
    for (name, value) in &config.env {
        line("env", &format!("{name}={value}"));
    }
    config.volumes.iter().for_each(|it| line("volume", it));
    config.exposed_ports.iter().for_each(|it| line("port", it));
    for layer in &image.layers {
        line("layer", &layer.display().to_string());
    }
    print(&text);
    Ok(())
}

/// An image for programs.
fn described(image: &Image) -> serde_json::Value {
    serde_json::json!({
        "name": image.name,
        "digest": image.digest,
        "architecture": image.architecture,
        "size": image.size,
        "config": image.config,
        "layers": image.layers,
    })
}
