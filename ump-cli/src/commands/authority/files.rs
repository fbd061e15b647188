//! The files of certificates and keys.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{args::warn_if_exposed, exit::Error};

/// A certificate and its key, as PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Checks that a name can be that of a file in the folder, and not that of the authority.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':');
    if starts_well && name.chars().all(is_plain) && name != "ca" {
        return Ok(());
    }
    Err(Error::usage(format!(
        "'{name}' is no DNS name and no IP address, or is `ca`"
    )))
}

/// Reads the certificate and the key of this name.
pub(super) fn read_pair(folder: &Path, stem: &str) -> Result<Pair, Error> {
    let read = |path: PathBuf| {
        fs::read_to_string(&path).map_err(|error| {
            let path = path.display();
            Error::usage(format!(
                "cannot read {path}: {error}: `ump ca init` makes it"
            ))
        })
    };
    let (certificate, key) = paths(folder, stem);
    warn_if_exposed(&key);
    Ok(Pair {
        certificate: read(certificate)?,
        key: read(key)?,
    })
}

/// Writes the certificate and the key of this name. It replaces no file.
pub(super) fn write_pair(
    folder: &Path,
    stem: &str,
    pair: &Pair,
) -> Result<(PathBuf, PathBuf), Error> {
    let failed = |path: &Path, error: &io::Error| {
        Error::usage(format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let (certificate, key) = paths(folder, stem);
    // Both or none, as far as can be seen before.
    for path in [&key, &certificate] {
        if path.exists() {
            return Err(failed(path, &io::ErrorKind::AlreadyExists.into()));
        }
    }
    write_new(&key, &pair.key).map_err(|error| failed(&key, &error))?;
    if let Err(error) = write_new(&certificate, &pair.certificate) {
        // A key without its certificate is of no use, and would stop the next attempt.
        let _ = fs::remove_file(&key);
        return Err(failed(&certificate, &error));
    }
    Ok((certificate, key))
}

fn paths(folder: &Path, stem: &str) -> (PathBuf, PathBuf) {
    let path = |end: &str| folder.join(format!("{stem}.{end}"));
    (path("pem"), path("key"))
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path); // this call made it
    }
    written
}
