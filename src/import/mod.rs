//! Other tools' files → a lab's [`Spec`]: containerlab's topologies, kind's clusters, Cilium's Helm values, and the
//! objects that kubectl applies. Pure: files that a topology refers to come by [`Sources`], variables by an
//! [`Environment`].

mod assemble;
mod beside;
mod blame;
mod cilium;
mod containerlab;
pub mod images;
mod kind;
mod recognize;
mod relocate;
mod template;
mod variables;
pub mod write;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::lab::definition::Kinds;
use crate::lab::file::{CiliumSpec, KubernetesSpec, Spanned, Spec, suggest};
use crate::lab::sources::{Entry, Sources};
use crate::lab::{Diagnostic, Lab, resolve};
use crate::yaml::{self, files, reader};

pub use files::Files;
pub use images::{ImageMap, Mode};
pub use recognize::{Form, recognize};
pub use relocate::relocate;
pub use variables::Environment;

use blame::Unset;
use containerlab::Topology;
use containerlab::exports::{self, About, Described};
use reader::Reader;
use yaml::Yaml;

/// A file to import.
#[derive(Debug, Clone)]
pub struct Input {
    /// As the user named it.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// What the user says it is.
    pub form: Option<Form>,
    /// What a template's variables are: the file's name, and what is in it.
    pub variables: Option<(String, String)>,
}

/// What else there is to say about an import.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What images stand for, beyond what nslab knows.
    pub images: ImageMap,
    /// Whether images run.
    pub mode: Mode,
    /// Whether a command of `exec` that fails stops the lab, as it does not in containerlab.
    pub strict: bool,
    /// The variables of the environment.
    pub environment: Environment,
}

/// What files say together.
#[derive(Debug)]
pub struct Imported {
    /// The files, those that others named among them.
    pub files: Files,
    /// The lab as a lab file would have it.
    pub spec: Spec,
    /// What every file was taken for, and what has no effect, a line each.
    pub notes: Vec<String>,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
    unset: Vec<Unset>,
}

/// What reading needs beside the file that is read.
struct Context<'a> {
    reader: Reader,
    files: Files,
    sources: &'a dyn Sources,
    options: &'a Options,
    /// The lab's name, for containerlab's variables.
    lab: String,
    /// What containerlab calls a container by before its node's name.
    prefix: String,
    unknown_images: BTreeSet<String>,
    /// The kinds that files say, once they are asked for.
    kinds: OnceCell<Kinds>,
    /// What is wrong with templates.
    faults: Vec<Diagnostic>,
    /// Variables that are not set.
    unset: Vec<Unset>,
    /// What is told once of many nodes.
    remarks: Remarks,
    /// What its topology says of a node.
    described: BTreeMap<String, Described>,
    /// Helm values that change nothing that nslab shows.
    without_effect: BTreeSet<String>,
}

/// So many places of variables that are not set are told.
const MOST_UNSET: usize = 1000;

/// What is told once of many nodes.
#[derive(Debug, Default)]
struct Remarks {
    /// Bridges that inherit commands.
    bridges: BTreeSet<String>,
    /// Commands that install packages, and the nodes that have them.
    installs: BTreeMap<String, BTreeSet<String>>,
    /// Nodes whose images serve HTTPS by themselves.
    https: BTreeSet<String>,
    /// Images for which this machine's programs stand.
    mapped: BTreeSet<String>,
    /// Kinds of which nothing is known but their images, and the nodes of each.
    bare: BTreeMap<String, BTreeSet<String>>,
    /// Names below `kinds` that are no kinds, and what to do about each.
    no_kinds: BTreeMap<String, String>,
    /// Nodes whose license is not there.
    unlicensed: BTreeMap<String, BTreeSet<String>>,
    /// Nodes that stand for containers made elsewhere.
    external: BTreeSet<String>,
}

impl Remarks {
    /// In sentences.
    fn told(&self) -> Vec<String> {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        let mut told = Vec::new();
        if !self.bridges.is_empty() {
            told.push(format!(
                "inherited `exec` does not run on bridges, as in containerlab: {}",
                list(&self.bridges)
            ));
        }
        for (command, nodes) in &self.installs {
            told.push(format!(
                "`{command}` is left out ({}): nodes have this machine's programs, so install what is missing here",
                list(nodes)
            ));
        }
        if !self.mapped.is_empty() {
            told.push(format!(
                "this machine's programs stand for {}; `--images run` runs the images themselves",
                list(&self.mapped)
            ));
        }
        for (kind, nodes) in &self.bare {
            told.push(format!(
                "nothing is known of the kind `{kind}` but the image of its nodes ({}), which runs as it is",
                list(nodes)
            ));
        }
        for (name, help) in &self.no_kinds {
            told.push(format!(
                "`{}` below `kinds` is no kind that is known, and means nothing: {help}",
                name.escape_debug()
            ));
        }
        for (file, nodes) in &self.unlicensed {
            told.push(format!(
                "there is no license `{file}` ({}): what needs one says so when it starts",
                list(nodes)
            ));
        }
        if !self.external.is_empty() {
            told.push(format!(
                "nodes of nslab's own stand for the containers {}, which are made elsewhere there",
                list(&self.external)
            ));
        }
        if !self.https.is_empty() {
            told.push(format!(
                "the image of {} serves its page on the ports 80 and 443, and here on port 80 alone",
                list(&self.https)
            ));
        }
        told
    }
}

/// What has been read of all files.
#[derive(Default)]
struct Parts {
    topologies: Vec<(String, Topology)>,
    clusters: Vec<kind::Cluster>,
    cilium: Option<CiliumSpec>,
    pools: KubernetesSpec,
    manifests: Vec<Spanned<String>>,
}

/// Reads files of other tools into one lab.
pub fn read(inputs: Vec<Input>, sources: &dyn Sources, options: &Options) -> Imported {
    suggest::begin();
    let mut context = Context {
        reader: Reader::default(),
        files: Files::default(),
        sources,
        options,
        lab: String::new(),
        prefix: String::new(),
        unknown_images: BTreeSet::new(),
        kinds: OnceCell::new(),
        faults: Vec::new(),
        unset: Vec::new(),
        remarks: Remarks::default(),
        described: BTreeMap::new(),
        without_effect: BTreeSet::new(),
    };
    let mut parts = Parts::default();
    let mut notes = Vec::new();
    for input in inputs {
        let form = input.form.or_else(|| recognize(&input.text));
        let name = input.name.clone();
        let text = match form {
            Some(Form::Containerlab) if template::is_template(&input.text) => {
                match rendered(&mut context, input, &mut notes) {
                    Some(text) => text,
                    None => continue,
                }
            }
            _ => input.text,
        };
        let begin = context.files.add(name.clone(), text);
        let Some(form) = form else {
            let message = "this is none of the files that nslab knows";
            let help = "it takes its own lab files (.toml), containerlab's topologies, kind's clusters, Cilium's Helm \
                 values and Kubernetes objects; say which with --containerlab, --kind, --cilium-values or --manifest";
            context.reader.wrong(begin..begin + 1, message, help);
            continue;
        };
        notes.push(format!("{name}: {}", form.name()));
        one(&mut context, &mut parts, form, &name, begin);
    }
    notes.extend(beside::kinds_file(&mut parts, &mut context));
    let mut spec = assemble::spec(parts, &mut context);
    let about = About {
        lab: &context.lab,
        prefix: &context.prefix,
        nodes: &context.described,
    };
    exports::put(&mut spec, &about, sources);
    notes.extend(remarks(&context));
    // Where something is wrong, those are told that it comes from.
    let is_right = context.reader.diagnostics.is_empty() && context.faults.is_empty();
    let mut told = BTreeSet::new();
    let in_braces = context
        .unset
        .iter()
        .filter(|unset| is_right && unset.is_in_braces);
    for unset in in_braces.take(MOST_UNSET) {
        let (file, line) = context.files.line(unset.span.start);
        let note = format!(
            "{file}, line {line}: the variable `{}` is not set, and stays as it is written",
            unset.name
        );
        if told.insert(note.clone()) {
            notes.push(note);
        }
    }
    let mut diagnostics = blame::blame(context.reader.diagnostics, &context.unset, &context.files);
    diagnostics.extend(context.faults);
    Imported {
        spec,
        notes,
        diagnostics,
        files: context.files,
        unset: context.unset,
    }
}

/// What a template comes to; nothing where it cannot be rendered, which has been told.
fn rendered(context: &mut Context, input: Input, notes: &mut Vec<String>) -> Option<String> {
    let mut variables = None;
    if let Some((name, text)) = input.variables {
        notes.push(format!("{}: a template, rendered with {name}", input.name));
        let begin = context.files.add(name, text);
        variables = context.documents(begin, false)?.into_iter().next();
    }
    match template::render(&input.text, variables.as_ref()) {
        Ok(text) => Some(text),
        Err(fault) => {
            let begin = context.files.add(input.name, input.text);
            let place = begin + fault.place;
            let help = "Go's own template language is taken but for `define`, `template` and `block`, and the common functions of others; \
                        `--vars FILE` names the variables";
            let diagnostic = Diagnostic::new(fault.message, place..place + 1, "here").help(help);
            context.faults.push(diagnostic);
            None
        }
    }
}

/// Reads one file.
fn one(context: &mut Context, parts: &mut Parts, form: Form, name: &str, begin: usize) {
    let Some(documents) = context.documents(begin, form == Form::Containerlab) else {
        return;
    };
    let mut documents = documents.iter();
    match form {
        Form::Manifest => parts
            .manifests
            .push(Spanned::new(name.to_owned(), begin..begin + 1)),
        Form::Kind => {
            for yaml in documents {
                let cluster = kind::read(yaml, context);
                parts.clusters.push(cluster);
            }
        }
        Form::CiliumValues => {
            let cilium = parts.cilium.get_or_insert_default();
            for yaml in documents {
                cilium::values(yaml, context, cilium, &mut parts.pools);
            }
        }
        Form::Containerlab => {
            let Some(yaml) = documents.next() else {
                context.reader.wrong(
                    begin..begin + 1,
                    "the file is empty",
                    "write `name:` and `topology:`",
                );
                return;
            };
            if let Some(lab) = yaml.get("name").and_then(Yaml::scalar) {
                context.lab = lab.to_owned();
            }
            let topology = containerlab::read(yaml, context);
            parts.topologies.push((name.to_owned(), topology));
        }
    }
}

/// What was read and changes nothing, once.
fn remarks(context: &Context) -> Vec<String> {
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let mut remarks = Vec::new();
    if !context.reader.ignored.is_empty() {
        remarks.push(format!("without effect here: {}", list(&context.reader.ignored)));
    }
    if !context.without_effect.is_empty() {
        remarks.push(format!(
            "Helm values without effect here: {}",
            list(&context.without_effect)
        ));
    }
    remarks.extend(context.remarks.told());
    remarks
}

impl Context<'_> {
    /// The kinds that files say.
    fn kinds(&self) -> &Kinds {
        self.kinds.get_or_init(|| self.sources.kinds())
    }

    /// The documents of a file that was added; none where it is no YAML, which has been told.
    fn documents(&mut self, begin: usize, with_variables: bool) -> Option<Vec<Yaml>> {
        let file = self.files.at(begin)?;
        let mut unset = Vec::new();
        let mut read = || match with_variables {
            true => {
                let environment = &self.options.environment;
                let (text, replaced) = variables::replace(&file.text, begin, environment, &mut unset)?;
                yaml::documents(&text, &files::Places::new(&text, begin, replaced))
            }
            false => yaml::documents(&file.text, &files::Places::new(&file.text, begin, Vec::new())),
        };
        let read = read();
        let whole = blame::of_whole(&file.text, begin, &unset);
        self.unset.extend(unset);
        match read {
            Ok(documents) => Some(documents),
            Err(diagnostics) => {
                let causes = whole.filter(|_| with_variables);
                self.reader.diagnostics.extend(causes.unwrap_or(diagnostics));
                None
            }
        }
    }

    /// The documents of a file that another names.
    fn open(&mut self, file: &Spanned<String>) -> Option<Vec<Yaml>> {
        let text = self.text(file)?;
        let begin = self.files.add(file.value.clone(), text);
        self.documents(begin, false)
    }

    /// The text of a file that another names.
    fn text(&mut self, file: &Spanned<String>) -> Option<String> {
        let path = self.sources.locate(Path::new(&file.value));
        match self.sources.text(&path) {
            Ok(text) => Some(text),
            Err(reason) => {
                let message = format!("cannot use `{}`: {reason}", file.value.escape_debug());
                let help = "paths are relative to the directory of the topology";
                self.reader.wrong(file.span.clone(), message, help);
                None
            }
        }
    }
}

/// The files that were read, and those beside them.
struct Beside<'a> {
    files: &'a Files,
    sources: &'a dyn Sources,
}

impl Sources for Beside<'_> {
    fn locate(&self, path: &Path) -> PathBuf {
        match self.files.named(path) {
            Some(_) => path.to_owned(),
            None => self.sources.locate(path),
        }
    }

    fn entry(&self, path: &Path) -> Result<Entry, String> {
        match self.files.named(path) {
            Some(_) => Ok(Entry::File),
            None => self.sources.entry(path),
        }
    }

    fn text(&self, path: &Path) -> Result<String, String> {
        match self.files.named(path) {
            Some(file) => Ok(file.text.clone()),
            None => self.sources.text(path),
        }
    }

    fn beside(&self) -> Vec<String> {
        self.sources.beside()
    }

    fn kinds(&self) -> Kinds {
        self.sources.kinds()
    }
}

impl Imported {
    /// The lab that the files mean.
    ///
    /// # Errors
    /// Every error, in places of all files together; see [`Files::sorted`].
    pub fn lab(&self, sources: &dyn Sources) -> Result<Lab, Vec<Diagnostic>> {
        let mut diagnostics = self.diagnostics.clone();
        // Where a file is no YAML, what it would have said is missing everywhere.
        let blind = !diagnostics.is_empty() && self.spec.nodes.is_empty();
        // Manifests were named on the command line, by paths that are relative to somewhere else.
        let sources = Beside {
            files: &self.files,
            sources,
        };
        match resolve::resolve(&self.spec, &sources) {
            Ok(lab) if diagnostics.is_empty() => Ok(lab),
            Err(more) if !blind => {
                diagnostics.extend(blame::blame(more, &self.unset, &self.files));
                diagnostics.dedup();
                Err(diagnostics)
            }
            _ => Err(diagnostics),
        }
    }
}
