//! Arguments that sub-commands share.

mod reconnect;
mod security;
mod values;

use std::time::{Duration, Instant};

use clap::Args;
use ump_router::link::wire::COMPRESSION;

#[cfg(feature = "tls")]
pub(crate) use self::security::warn_if_exposed;
pub(crate) use self::{
    reconnect::{LossArgs, Reconnect},
    security::SecurityArgs,
    values::{Rate, duration},
};
use crate::{
    client::{Address, Link, connect},
    exit::Error,
};

/// Where the server is.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerArgs {
    /// The address of the server: unix:PATH, tcp:HOST:PORT or tls:HOST:PORT
    #[arg(long = "on", value_name = "ADDRESS", env = "UMP_ON")]
    pub(crate) address: Address,
    /// How long connecting may take
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    pub(crate) connect_timeout: Duration,
    /// Offers compression: if the server does, too, longer messages are compressed on the link
    #[arg(long)]
    compress: bool,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
}

impl ServerArgs {
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.connect_timeout
    }

    /// Returns the features that are offered to the server.
    pub(crate) fn features(&self) -> u64 {
        if self.compress { COMPRESSION } else { 0 }
    }

    /// Connects, and waits until the server has told what it has.
    pub(crate) fn open<I>(&self) -> Result<Link<I>, Error> {
        let deadline = self.deadline();
        let stream = connect(&self.address, &self.security.security()?, deadline)?;
        let mut link = Link::open(stream, self.features(), deadline)
            .map_err(|error| Error::new(error.exit, format!("{}: {error}", self.address)))?;
        link.sync(deadline)?;
        Ok(link)
    }
}
