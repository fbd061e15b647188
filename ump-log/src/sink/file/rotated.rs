//! The names of rotated files: `NAME.20261130T235959Z.0000`, with `.gz` if it is compressed.
//!
//! The time is that of the rotation, in UTC, and never before that of the file before, so that the
//! names are in the order of the rotations. The number tells files of one second apart.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

/// The rotated files of one log file.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    folder: PathBuf,
    name: OsString,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rotated {
    time: String,
    number: u32,
    pub(crate) state: State,
    pub(crate) path: PathBuf,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Plain,
    Compressed,
    /// A compressed copy that is not complete.
    Partial,
}

impl Series {
    pub(crate) fn new(path: &Path) -> Self {
        let folder = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            name: path.file_name().unwrap_or_default().to_owned(),
        }
    }

    /// Returns the files in the order of their rotations.
    pub(crate) fn list(&self) -> io::Result<Vec<Rotated>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Some((time, number, state)) = self.parse(&entry.file_name()) else {
                continue;
            };
            // A file that was deleted just now has no bytes.
            let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
            let path = entry.path();
            found.push(Rotated {
                time,
                number,
                state,
                path,
                bytes,
            });
        }
        found.sort();
        Ok(found)
    }

    fn parse(&self, file: &OsString) -> Option<(String, u32, State)> {
        let name = self.name.to_str()?;
        let rest = file.to_str()?.strip_prefix(name)?.strip_prefix('.')?;
        let (rest, state) = if let Some(rest) = rest.strip_suffix(".gz.partial") {
            (rest, State::Partial)
        } else if let Some(rest) = rest.strip_suffix(".gz") {
            (rest, State::Compressed)
        } else {
            (rest, State::Plain)
        };
        let (time, number) = rest.split_once('.')?;
        let is_time = time.len() == 16
            && time.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        let is_number = number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok()?;
        (is_time && is_number).then(|| (time.to_owned(), number, state))
    }

    /// Returns the name of the file that is rotated now.
    pub(crate) fn next_name(&self, micros: u64) -> io::Result<PathBuf> {
        let now = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_micros(micros));
        let now = now.to_string().replace(['-', ':'], "");
        let (time, number) = match self.list()?.pop() {
            Some(last) if last.time >= now => (last.time, last.number.saturating_add(1)),
            _ => (now, 0),
        };
        let mut name = self.name.clone();
        name.push(format!(".{time}.{number:04}"));
        Ok(self.folder.join(name))
    }

    /// Deletes files, the oldest first, until the rest has at most `room` bytes.
    pub(crate) fn delete_oldest(&self, room: u64) -> io::Result<()> {
        let mut files = self.list()?;
        // A copy that is being made is the compressor's, and has room of its own.
        files.retain(|file| file.state != State::Partial);
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        for file in &files {
            if bytes <= room {
                break;
            }
            match fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => bytes -= file.bytes,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_rotations() {
        let folder = tempfile::tempdir().expect("a folder");
        let series = Series::new(&folder.path().join("a.log"));
        let mut expected = Vec::new();
        // The clock is set back, and then goes on.
        for seconds in [1_000_000_000, 1_000_000_000, 999_999_990, 1_000_000_001] {
            let path = series.next_name(seconds * 1_000_000).expect("a name");
            fs::write(&path, "12345").expect("a file");
            expected.push(path);
        }
        for other in [
            "a.log",
            "a.log.old",
            "a.log.1",
            "b.log.20010909T014640Z.0000",
            "a.log.20010909T014640Z.0000.xz",
        ] {
            fs::write(folder.path().join(other), "12345").expect("a file");
        }
        let found = || -> Vec<_> {
            let files = series.list().expect("files");
            files.into_iter().map(|file| file.path).collect()
        };
        assert_eq!(found(), expected);
        assert!(
            expected[2].ends_with("a.log.20010909T014640Z.0002"),
            "{expected:?}"
        );

        series.delete_oldest(14).expect("deleted");
        assert_eq!(found(), expected[2..]);
    }
}
