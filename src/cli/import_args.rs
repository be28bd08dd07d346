//! Files of other tools on the command line.

use std::path::PathBuf;

use crate::import::{Form, ImageMap, Mode, images};

/// What becomes of images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Images {
    #[default]
    Auto,
    Run,
    Map,
}

#[derive(Debug, Clone, Default, clap::Args)]
pub struct ImportArgs {
    /// A lab file or topology, as containerlab has it: the same as FILE
    #[arg(short = 't', short_alias = 'f', long, value_name = "FILE")]
    pub topo: Vec<PathBuf>,
    /// A containerlab topology, whatever it looks like
    #[arg(long, value_name = "FILE")]
    pub containerlab: Vec<PathBuf>,
    /// A kind cluster
    #[arg(long, value_name = "FILE")]
    pub kind: Vec<PathBuf>,
    /// Values of Cilium's Helm chart
    #[arg(long, value_name = "FILE")]
    pub cilium_values: Vec<PathBuf>,
    /// Kubernetes objects, applied once the lab is up
    #[arg(long, value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
    /// What a container image stands for: IMAGE=frr or IMAGE=tools; * in IMAGE stands for anything
    #[arg(long, value_name = "IMAGE=ROLE", value_parser = images::entry)]
    pub image_map: Vec<(String, images::Role)>,
    /// The variables of a topology that is a template; where nothing is said, the file beside it whose name ends in _vars.yaml
    #[arg(long, value_name = "FILE")]
    pub vars: Option<PathBuf>,
    /// What becomes of images: this machine's programs stand for those that nslab knows and others run (auto), all run, or none (map)
    #[arg(long, value_enum, default_value = "auto", value_name = "WHICH")]
    pub images: Images,
    /// Let a command of an imported file that fails stop the lab
    #[arg(long)]
    pub strict: bool,
}

impl ImportArgs {
    /// Every file, with what it was said to be.
    pub fn files(&self, plain: &[PathBuf]) -> Vec<(PathBuf, Option<Form>)> {
        let said = [
            (&self.containerlab, Form::Containerlab),
            (&self.kind, Form::Kind),
            (&self.cilium_values, Form::CiliumValues),
            (&self.manifest, Form::Manifest),
        ];
        let plain = plain.iter().chain(&self.topo).map(|path| (path.clone(), None));
        let said = said
            .into_iter()
            .flat_map(|(paths, form)| paths.iter().map(move |path| (path.clone(), Some(form))));
        plain.chain(said).collect()
    }

    /// The user's table of images.
    pub fn image_map(&self) -> ImageMap {
        self.image_map.clone()
    }

    /// What becomes of images.
    pub fn mode(&self) -> Mode {
        match self.images {
            Images::Auto => Mode::Auto,
            Images::Run => Mode::Run,
            Images::Map => Mode::Map,
        }
    }
}
