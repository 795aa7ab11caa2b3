//! Files that a spec consists of, and files that it names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::spec::{Files, Format, Source};

/// Reads specs from disk. Everything they name is relative to the file that names it, and stays, after links are resolved,
/// under that file's folder or the working directory: a pull request must not be able to print the runner's credentials.
#[derive(Debug)]
pub struct Disk {
    folders: Vec<PathBuf>,
}

/// A spec that cannot be read from disk.
#[derive(Debug)]
pub struct ReadError {
    /// What was tried.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Disk {
    /// Reads the files of a spec; of a directory its `*.toml` and `*.json` by name.
    ///
    /// # Errors
    /// When one of them cannot be read, or has another ending.
    pub fn read(paths: &[PathBuf]) -> Result<(Vec<Source>, Self), ReadError> {
        let mut sources = Vec::new();
        let mut folders = Vec::new();
        for path in expand(paths)? {
            let format = format(&path)?;
            let text = fs::read_to_string(&path).map_err(|why| failed(&path, &why))?;
            sources.push(Source { path: path.display().to_string(), text, format });
            folders.push(path.parent().map_or_else(PathBuf::new, Path::to_path_buf));
        }
        Ok((sources, Self { folders }))
    }
}

impl Files for Disk {
    fn read(&self, source: usize, path: &str) -> Result<Vec<u8>, String> {
        let folder = self.folders.get(source).cloned().unwrap_or_default();
        let home = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        let wanted = home.join(path);
        let real = wanted.canonicalize().map_err(|why| format!("`{}` cannot be read: {why}", wanted.display()))?;
        let allowed = [home.canonicalize(), std::env::current_dir().and_then(|dir| dir.canonicalize())];
        if !allowed.iter().flatten().any(|folder| real.starts_with(folder)) {
            return Err(format!(
                "`{path}` lies outside the folder of the spec and the working directory; a spec may not read from there"
            ));
        }
        fs::read(&real).map_err(|why| format!("`{}` cannot be read: {why}", wanted.display()))
    }
}

fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ReadError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).map_err(|why| failed(path, &why))?;
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_file() && format(path).is_ok())
            .collect();
        found.sort();
        if found.is_empty() {
            return Err(ReadError {
                message: format!("`{}` holds no spec", path.display()),
                hint: Some("a directory's *.toml and *.json files are its spec".to_owned()),
            });
        }
        files.extend(found);
    }
    Ok(files)
}

fn format(path: &Path) -> Result<Format, ReadError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => Ok(Format::Toml),
        Some("json") => Ok(Format::Json),
        _ => Err(ReadError {
            message: format!("`{}` is neither .toml nor .json", path.display()),
            hint: Some("a spec's ending says how it is written".to_owned()),
        }),
    }
}

fn failed(path: &Path, why: &std::io::Error) -> ReadError {
    let hint = match why.kind() {
        std::io::ErrorKind::NotFound => Some("check the path; it is relative to the working directory".to_owned()),
        std::io::ErrorKind::InvalidData => Some("a spec is UTF-8 text".to_owned()),
        _ => None,
    };
    ReadError { message: format!("`{}` cannot be read: {why}", path.display()), hint }
}
