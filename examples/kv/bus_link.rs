//! The link to the bus, over which the changes go to other processes.

#[cfg(unix)]
pub(crate) use self::with_links::BusLink;
#[cfg(not(unix))]
pub(crate) use self::without_links::BusLink;

#[cfg(unix)]
mod with_links {
    use std::time::Duration;

    use cli::log;
    use ump_router::{
        Router,
        link::sockets::{Address, Link},
    };

    use crate::{
        args::Args,
        bus::{Bus, KeyChange},
    };

    /// How long to wait for the bus before its absence is logged.
    const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

    /// How long the last changes may take to the bus.
    const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

    /// Keeps a link to the bus until it is dropped, if there is one.
    #[derive(Debug)]
    pub(crate) struct BusLink(Option<Link>);

    impl BusLink {
        /// Connects to the bus that the arguments name. The bus need not be there: the link is made
        /// when it is.
        pub(crate) fn connect(args: &Args) -> Result<(Option<Bus>, Self), String> {
            let Some(address) = &args.bus else {
                return Ok((None, Self(None)));
            };
            let router = Router::new();
            let carried = router.carry::<KeyChange>();
            carried.map_err(|error| error.to_string())?;
            let link = connect(&router, address)?;
            tokio::spawn(log_opening(
                link.name().to_owned(),
                link.opened().timeout(OPEN_TIMEOUT).into_future(),
                link.opened().into_future(),
            ));
            Ok((Some(Bus::new(router)), Self(Some(link))))
        }

        /// Closes the link when the bus has received the last changes, if it is there.
        pub(crate) async fn close(self) {
            if let Some(link) = self.0 {
                let _ = link.close().timeout(CLOSE_TIMEOUT).await;
            }
        }
    }

    fn connect(router: &Router, address: &Address) -> Result<Link, String> {
        let link = router.connect(address);
        link.map_err(|e| format!("cannot connect to {address}: {e}"))
    }

    /// Logs whether the bus is there, and when it comes.
    async fn log_opening(
        bus: String,
        soon: impl Future<Output = bool>,
        at_last: impl Future<Output = bool>,
    ) {
        if !soon.await {
            log!("kv: no bus at {bus}: its subscribers miss the changes until it is there");
        }
        if at_last.await {
            log!("kv: publishing changes to {bus}");
        }
    }
}

#[cfg(not(unix))]
mod without_links {
    use crate::{args::Args, bus::Bus};

    /// There are no links without the sockets of a unix system.
    #[derive(Debug)]
    pub(crate) struct BusLink;

    impl BusLink {
        #[allow(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
        pub(crate) fn connect(_: &Args) -> Result<(Option<Bus>, Self), String> {
            Ok((None, Self))
        }

        pub(crate) async fn close(self) {}
    }
}
