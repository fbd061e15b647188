//! Compresses rotated files, one after the other, on a thread of its own.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    ops::ControlFlow,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use tracing::Level;
use ump_server::{Context, ReplyContext, thread};

use super::rotated::{Series, State};
use crate::{ports::Reporter, suppress};

/// Compresses all rotated files that are not yet compressed, whenever it is asked.
pub(crate) struct Compressor {
    pub(crate) series: Series,
    pub(crate) mode: u32,
    pub(crate) reporter: Reporter,
}

impl thread::Service for Compressor {
    type Request = ();
    type Reply = ();
    type Error = Infallible;
    type Output = ();
    type Timer = ();

    fn init(&mut self, _: &Context<(), (), Infallible, ()>) {
        suppress::this_thread();
    }

    fn handle(&mut self, (): (), reply: ReplyContext<'_, (), Infallible>) -> ControlFlow<()> {
        if let Err(error) = self.compress_all() {
            let text = format!("a rotated log file is not compressed: {error}");
            self.reporter.report(Level::ERROR, &text);
        }
        let _ = reply.reply(());
        ControlFlow::Continue(())
    }
}

impl Compressor {
    fn compress_all(&self) -> io::Result<()> {
        let (partial, rotated): (Vec<_>, Vec<_>) = {
            let files = self.series.list()?.into_iter();
            files.partition(|file| file.state == State::Partial)
        };
        for file in partial {
            // An earlier process left it.
            fs::remove_file(&file.path)?;
        }
        for file in rotated.iter().filter(|file| file.state == State::Plain) {
            self.compress(&file.path)?;
        }
        Ok(())
    }

    fn compress(&self, path: &Path) -> io::Result<()> {
        let (partial, complete) = (with(path, ".gz.partial"), with(path, ".gz"));
        let done = self.copy(path, &partial).and_then(|()| {
            fs::rename(&partial, &complete)?;
            fs::remove_file(path)
        });
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // It was deleted meanwhile, for want of room. So is its copy.
                let _ = fs::remove_file(&partial);
                let _ = fs::remove_file(&complete);
                Ok(())
            }
            Err(error) => {
                let _ = fs::remove_file(&partial);
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut from = File::open(from)?;
        let mut options = OpenOptions::new();
        let to = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(self.mode)
            .open(to)?;
        let mut encoder = GzEncoder::new(to, Compression::default());
        io::copy(&mut from, &mut encoder)?;
        encoder.finish()?.sync_all()
    }
}

fn with(path: &Path, extension: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(extension);
    name.into()
}
