//! Labs from files of other tools.

use std::path::{Path, PathBuf};

use super::file::{self, Disk, LabFile, LoadError};
use super::import_args::ImportArgs;
use crate::failure::Failure;
use crate::import::{self, Environment, Form, Imported, Input, Options};
use crate::lab::Diagnostic;
use crate::view;

/// Whether files are other tools', by what was said of them and by their names.
pub fn is_foreign(files: &[(PathBuf, Option<Form>)]) -> bool {
    let foreign = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| matches!(extension, "yml" | "yaml" | "gotmpl"))
            || (file::is_standard_input(path)
                && file::standard_input().is_ok_and(|text| import::recognize(&text).is_some()))
    };
    files.iter().any(|(path, form)| form.is_some() || foreign(path))
}

/// Whether each of several files is a lab without the others: lab files and topologies, of which one lab has one at most.
pub fn are_labs_of_their_own(files: &[PathBuf]) -> bool {
    let is_lab = |path: &&PathBuf| {
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension == "toml" || extension == "gotmpl");
        is_toml || file::read(path).is_ok_and(|text| import::recognize(&text) == Some(Form::Containerlab))
    };
    files.len() > 1 && files.iter().all(|path| is_lab(&path))
}

/// Reads a lab from its own file, or from other tools'; `notes` says what each was taken for.
///
/// # Errors
/// A file cannot be read, or has errors.
pub fn load(plain: &[PathBuf], args: &ImportArgs, color: bool) -> Result<LabFile, LoadError> {
    let files = args.files(plain);
    match files.as_slice() {
        [] => Err(LoadError::Unreadable(Failure::wrong("no file is named"))),
        [(path, None)] if !is_foreign(&files) => file::load(path, color),
        [(first, _), ..] if !is_foreign(&files) => Err(LoadError::Unreadable(Failure::wrong(format!(
            "{} is a lab of its own: name one lab file, or files of other tools that are one lab together",
            first.display()
        )))),
        _ => {
            let (imported, disk) = read(&files, args)?;
            for note in &imported.notes {
                view::tell(&format!("{note}\n"));
            }
            let lab = imported
                .lab(&disk)
                .map_err(|diagnostics| wrong(&imported, diagnostics, color))?;
            let path = file::absolute(&files[0].0);
            Ok(LabFile { path, lab })
        }
    }
}

/// Reads files of other tools.
///
/// # Errors
/// One of them cannot be read.
pub fn read(files: &[(PathBuf, Option<Form>)], args: &ImportArgs) -> Result<(Imported, Disk), LoadError> {
    let mut inputs = Vec::new();
    for (path, form) in files {
        inputs.push(input(path, *form, args.vars.as_deref()).map_err(LoadError::Unreadable)?);
    }
    let options = Options {
        images: args.image_map(),
        mode: args.mode(),
        strict: args.strict,
        environment: environment(),
    };
    // What a topology refers to stands beside it.
    let first = files
        .iter()
        .zip(&inputs)
        .find(|(_, input)| input.form.or_else(|| import::recognize(&input.text)) == Some(Form::Containerlab))
        .map_or(&files[0].0, |((path, _), _)| path);
    let disk = Disk::beside(first);
    Ok((import::read(inputs, &disk, &options), disk))
}

fn input(path: &Path, form: Option<Form>, vars: Option<&Path>) -> Result<Input, Failure> {
    let name = path.display().to_string();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") if form.is_none() => {
            let help = "bring the lab file up alone, or leave it out";
            let message = format!("{name}: a lab file cannot be joined with files of other tools");
            return Err(Failure::wrong(message).help(help));
        }
        _ => {}
    }
    let text = file::read(path).map_err(Failure::wrong)?;
    // A template need not look like what it comes to.
    let is_template = path.extension().is_some_and(|extension| extension == "gotmpl");
    let form = form.or(is_template.then_some(Form::Containerlab));
    let found = vars.map(Path::to_owned).or_else(|| beside(path));
    let variables = match found.filter(|_| text.contains("{{")) {
        Some(path) => Some((
            path.display().to_string(),
            file::read(&path).map_err(Failure::wrong)?,
        )),
        None => None,
    };
    Ok(Input {
        name,
        text,
        form,
        variables,
    })
}

/// The file beside a topology that has its variables, as containerlab finds it.
fn beside(path: &Path) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_str()?;
    let names = ["yaml", "yml", "json"].map(|end| path.with_file_name(format!("{stem}_vars.{end}")));
    names.into_iter().find(|path| path.is_file())
}

/// The environment's variables that are text.
fn environment() -> Environment {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// The errors of all files, each under the name of its file.
pub fn wrong(imported: &Imported, diagnostics: Vec<Diagnostic>, color: bool) -> LoadError {
    let sorted = imported.files.sorted(diagnostics);
    let rendered = sorted
        .iter()
        .map(|(file, diagnostics)| view::diagnostics::render(&file.name, &file.text, diagnostics, color));
    LoadError::Wrong(rendered.collect())
}
