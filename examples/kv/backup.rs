//! `GET /backup`: a consistent copy of the database, while writes go on.
//!
//! A separate connection reads one state of the file, which WAL mode keeps for it, and copies it
//! into a temporary file. That file is removed before it is sent. The store does not wait for any
//! of this.

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
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use thiserror::Error;
use tokio::{fs::File, sync::Semaphore, task};
use tokio_util::io::ReaderStream;

use crate::{
    database::{beside, is_in_memory},
    error::ApiError,
    stopping::{Stopping, stopped},
};

/// The number of pages copied between two checks for cancellation.
const PAGES_PER_STEP: i32 = 1024;

/// The pause before it tries a locked file again.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Makes backups of one database, one at a time.
#[derive(Clone, Debug)]
pub(crate) struct Backups {
    path: PathBuf,
    permit: Arc<Semaphore>,
}

impl Backups {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            permit: Arc::new(Semaphore::new(1)),
        }
    }

    pub(crate) async fn create(self, stopping: Stopping) -> Result<Response, ApiError> {
        let Self { path, permit } = self;
        if is_in_memory(&path) {
            let text = "the database is in memory, so there is no file to back up";
            return Err(ApiError::new(StatusCode::CONFLICT, text));
        }
        let permit = permit.try_acquire_owned().map_err(|_| {
            let text = "another backup is being made";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text)
        })?;
        let cancel = CancelOnDrop::default();
        let cancelled = Arc::clone(&cancel.0);
        let copying = task::spawn_blocking(move || {
            let _permit = permit;
            copy(&path, &cancelled)
        });
        let copied = tokio::select! {
            copied = copying => copied,
            () = stopped(stopping) => return Err(ApiError::stopping()),
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
}

fn failed(error: &dyn std::fmt::Display) -> ApiError {
    let text = format!("the backup failed: {error}");
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// Cancels the copy when its client has disconnected.
#[derive(Debug, Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // ORDERING: pairs with nothing; a hint.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A file that is removed on drop.
struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn copy(path: &Path, cancelled: &AtomicBool) -> Result<fs::File, CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(path, flags)?;
    // The transaction reads one state of the file until it ends.
    from.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
    let copy = TemporaryFile(beside(path, &format!("-backup-{}", process::id())));
    // A process that was killed may have left one.
    let _ = fs::remove_file(&copy.0);
    let mut to = Connection::open(&copy.0)?;
    // The copy need not survive a power cut.
    to.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(&from, &mut to)?;
    loop {
        match backup.step(PAGES_PER_STEP)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => thread::sleep(RETRY_INTERVAL),
        }
        // ORDERING: pairs with nothing; a hint.
        if cancelled.load(Ordering::Relaxed) {
            return Err(CopyError::Cancelled);
        }
    }
    drop(backup);
    // So that the copy is a single file.
    to.pragma_update(None, "journal_mode", "DELETE")?;
    to.close().map_err(|(_, error)| error)?;
    Ok(fs::File::open(&copy.0)?)
}

#[derive(Debug, Error)]
enum CopyError {
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it was cancelled")]
    Cancelled,
}
