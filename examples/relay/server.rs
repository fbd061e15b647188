//! The system of the components `relay`, with an instance for each worker, and `admin`.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use ump_server::{
    OnPanic, Stop,
    net::Udp,
    system::{Attributes, Report, System},
};

use crate::{
    admin::{Admin, AdminClient},
    args::Args,
    turn::Shared,
    worker::Worker,
};

const RELAY: &str = "relay";
const ADMIN: &str = "admin";

/// Timeout of the start and of the stop.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) system: System,
    pub(crate) admin: AdminClient,
    /// The addresses that it listens on.
    pub(crate) addresses: Vec<SocketAddr>,
    shared: Shared,
}

impl Server {
    pub(crate) fn start(args: &Args) -> Result<Self, String> {
        let relay = args.relay()?;
        let addresses = args.listen.iter().map(|&address| free(address));
        let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
        let config = args.config(&addresses, &relay, args.allocations())?;
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|e| format!("there are no random numbers: {e}"))?;
        let shared = Shared::new(config, secret, Instant::now());

        let (workers, listen, of_worker) = (args.workers, addresses.clone(), shared.clone());
        let system = System::builder()
            .thread(
                RELAY,
                // A task that panics is removed, and the others go on.
                Attributes::new()
                    .instances(workers)
                    .capacity(64)
                    .on_panic(OnPanic::Continue),
                move |cx| {
                    let listen = listen.iter().map(|&address| {
                        let only_v6 = address.is_ipv6();
                        Udp::new(address).only_v6(only_v6).reuse_port(workers > 1)
                    });
                    let shared = of_worker.for_worker();
                    Ok(Worker::new(cx, listen, relay.clone(), shared)?)
                },
            )
            .thread(
                ADMIN,
                Attributes::new().capacity(8).needs(RELAY),
                move |cx| {
                    let workers = (0..workers).map(|number| cx.instance(RELAY, number));
                    Ok(Admin::new(workers.collect::<Result<_, _>>()?))
                },
            )
            .start(TIMEOUT)
            .wait()
            .map_err(|e| e.to_string())?;
        let admin = system.client(ADMIN).map_err(|e| e.to_string())?;
        Ok(Self {
            system,
            admin: AdminClient(admin),
            addresses,
            shared,
        })
    }

    /// Returns the number of allocations.
    pub(crate) fn allocations(&self) -> usize {
        self.shared.quota().used()
    }

    /// Stops the workers, which close the allocations that they have.
    pub(crate) fn stop(self) -> Report {
        let Self { system, admin, .. } = self;
        drop(admin);
        system.stop(Stop::Drain, TIMEOUT).wait()
    }
}

/// Returns the address with its port if it is free. The workers share it, so the system would not
/// tell them that another process has it.
fn free(address: SocketAddr) -> Result<SocketAddr, String> {
    let bound = UdpSocket::bind(address).and_then(|socket| socket.local_addr());
    bound.map_err(|e| format!("cannot listen on {address}: {e}"))
}
