//! `GET /backup`: a copy of the database as it is at one moment, while writes go on.
//!
//! A connection of its own reads one state of the file, which a database in WAL mode keeps for it, and copies it into a file that has no name any
//! more when it is sent. The store does not wait for any of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use tokio::{fs::File, sync::Semaphore, task};
use tokio_util::io::ReaderStream;

use crate::{
    database::{beside, is_in_memory},
    error::ApiError,
    http::App,
};

/// So many pages are copied before it looks whether anybody still wants them.
const PAGES: i32 = 1024;

/// When it tries again if somebody else has locked the file.
const AGAIN: Duration = Duration::from_millis(10);

/// Where the database is. One backup is made at a time.
#[derive(Clone, Debug)]
pub(crate) struct Backups {
    path: PathBuf,
    one: Arc<Semaphore>,
}

impl Backups {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            one: Arc::new(Semaphore::new(1)),
        }
    }
}

pub(crate) async fn backup(State(app): State<App>) -> Result<Response, ApiError> {
    let Backups { path, one } = app.backups;
    if is_in_memory(&path) {
        let text = "there is no file to back up, as the database is in memory";
        return Err(ApiError::new(StatusCode::CONFLICT, text));
    }
    let one = one.try_acquire_owned().map_err(|_| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "another backup is being made",
        )
    })?;
    let unwanted = Unwanted::default();
    let seen = Arc::clone(&unwanted.0);
    let copying = task::spawn_blocking(move || {
        let _one = one;
        copy(&path, &seen)
    });
    let copied = tokio::select! {
        copied = copying => copied,
        () = crate::http::stopped(app.stopping) => return Err(ApiError::stopping()),
    };
    let failed = |error: &dyn std::fmt::Display| {
        let text = format!("the backup failed: {error}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    };
    let file = copied.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
    let length = file.metadata().map_err(|e| failed(&e))?.len();
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.sqlite3".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"kv-backup.db\"".to_owned(),
        ),
    ];
    let body = Body::from_stream(ReaderStream::new(File::from_std(file)));
    Ok((headers, body).into_response())
}

/// Tells the copying that its client has left.
#[derive(Debug, Default)]
struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        // ORDERING: a hint only; it pairs with nothing.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file that is removed when this is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn copy(path: &Path, unwanted: &AtomicBool) -> Result<fs::File, CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(path, flags)?;
    // One state of the file, from now on until the end of this.
    from.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
    let copy = Temporary(beside(path, &format!("-backup-{}", process::id())));
    // What a process that was killed left.
    let _ = fs::remove_file(&copy.0);
    let mut to = Connection::open(&copy.0)?;
    // If the machine fails, there is nobody to send it to.
    to.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(&from, &mut to)?;
    loop {
        match backup.step(PAGES)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => thread::sleep(AGAIN),
        }
        // ORDERING: see above.
        if unwanted.load(Ordering::Relaxed) {
            return Err(CopyError::Unwanted);
        }
    }
    drop(backup);
    // One file, which needs none beside it.
    to.pragma_update(None, "journal_mode", "DELETE")?;
    to.close().map_err(|(_, error)| error)?;
    Ok(fs::File::open(&copy.0)?)
}

#[derive(Debug)]
enum CopyError {
    Database(rusqlite::Error),
    Io(io::Error),
    Unwanted,
}

impl std::fmt::Display for CopyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Unwanted => f.write_str("nobody wants it any more"),
        }
    }
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
