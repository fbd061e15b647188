//! TUN and TAP interfaces of the loop.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt, io,
    net::IpAddr,
    os::fd::{AsFd as _, OwnedFd},
    time::Instant,
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};
use tun_rs::{DeviceBuilder, Layer};

use crate::{
    net::{self, Event, Interest, SocketMap, Source},
    sans_io::{
        Payload, RawPacket, RawPackets, SocketError, SocketFailure, SocketNumber, Sockets, TaskId,
        failures::Failures,
    },
};

/// The TUN and TAP interfaces of a loop on a thread, for the tasks of its
/// [`Component`](crate::sans_io::Component) or of a
/// [worker](crate::sans_io::ControllerBuilder::start_with). Requires the feature `tun`, on Linux.
///
/// What the system sends by such an interface, a task receives as a [`RawPacket`], without a copy;
/// and what the task sends, the system receives. The packets of an interface go to its
/// [owner](Self::set_owner), or else to the oldest task.
///
/// | situation | consequence |
/// |---|---|
/// | a packet cannot be sent: too long, malformed, the interface is down | it is dropped and counted; [`Report::SocketFailed`](crate::sans_io::Report::SocketFailed) |
/// | the interface is removed | [`SocketError::InterfaceGone`], once; the loop and its other interfaces go on |
/// | the application takes no reports | nothing is received until it does; the system drops what its queue has no room for |
///
/// ```no_run
/// # mod icmp {
#[doc = include_str!("../doc/icmp.rs")]
/// # }
/// # use icmp::*;
/// use std::net::Ipv4Addr;
/// use ump_server::{
///     sans_io::{Component, Limits, LoopTun, Spawn, TunOptions},
///     thread::Builder,
/// };
///
/// let (client, _handle) = Builder::new().name("echo").spawn_with(|cx| {
///     let mut tun = LoopTun::new(cx.sockets());
///     tun.open(TunOptions::tun().name("ump0").address(Ipv4Addr::new(10, 9, 0, 1), 24))?;
///     Ok(Component::<Echo, _>::new(cx, Limits::new(), tun, |report| println!("{report:?}")))
/// })?;
/// client.ask(Spawn(Echo::default())).wait()?; // `ping 10.9.0.2` is answered now
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LoopTun {
    registrar: net::Sockets,
    interfaces: Vec<Interface>,
    numbers: SocketMap<usize>,
    owners: BTreeMap<SocketNumber, TaskId>,
    tasks: BTreeSet<TaskId>,
    /// The interface that is read, and the number of packets it may still give before others do.
    reading: Option<(usize, u32)>,
    /// Packets to interfaces that do not exist.
    strays: Failures,
    failures: VecDeque<SocketFailure>,
}

struct Interface {
    name: String,
    /// `None` after it was removed.
    source: Option<Source<OwnedFd>>,
    failures: Failures,
}

/// The number of packets of one interface between two looks at the others.
const BATCH: u32 = 32;

/// The size of the receive buffer: no packet is longer, with the header of Ethernet.
const LONGEST: usize = 66 * 1_024;

/// A TUN or TAP interface to be opened, by [`LoopTun::open`].
#[derive(Clone, Debug)]
pub struct TunOptions {
    is_tap: bool,
    name: Option<String>,
    mtu: Option<u16>,
    addresses: Vec<(IpAddr, u8)>,
}

impl TunOptions {
    fn of(is_tap: bool) -> Self {
        Self {
            is_tap,
            name: None,
            mtu: None,
            addresses: Vec::new(),
        }
    }

    /// Creates the options of a TUN interface, which exchanges IP packets.
    #[must_use]
    pub fn tun() -> Self {
        Self::of(false)
    }

    /// Creates the options of a TAP interface, which exchanges Ethernet frames.
    #[must_use]
    pub fn tap() -> Self {
        Self::of(true)
    }

    /// Sets the name. Without it the system chooses one.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }

    /// Sets the longest packet, in bytes. The default of the system is 1,500.
    #[must_use]
    pub fn mtu(self, mtu: u16) -> Self {
        Self {
            mtu: Some(mtu),
            ..self
        }
    }

    /// Gives the interface an address of the system, and a route to the network with this prefix.
    /// A second IPv4 address replaces the first one.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpAddr>, prefix: u8) -> Self {
        self.addresses.push((address.into(), prefix));
        self
    }

    fn open(self) -> io::Result<(OwnedFd, String)> {
        let layer = if self.is_tap { Layer::L2 } else { Layer::L3 };
        let mut device = DeviceBuilder::new().layer(layer);
        if let Some(name) = self.name {
            device = device.name(name);
        }
        if let Some(mtu) = self.mtu {
            device = device.mtu(mtu);
        }
        for (address, prefix) in self.addresses {
            device = match address {
                IpAddr::V4(address) => device.ipv4(address, prefix, None),
                IpAddr::V6(address) => device.ipv6(address, prefix),
            };
        }
        let device = device.build_sync()?;
        Ok((device.as_fd().try_clone_to_owned()?, device.name()?))
    }
}

impl LoopTun {
    /// Creates an empty set of interfaces for a loop: that of
    /// [`Context::sockets`](crate::Context::sockets).
    #[must_use]
    pub fn new(sockets: net::Sockets) -> Self {
        Self {
            registrar: sockets,
            interfaces: Vec::new(),
            numbers: SocketMap::new(),
            owners: BTreeMap::new(),
            tasks: BTreeSet::new(),
            reading: None,
            strays: Failures::default(),
            failures: VecDeque::new(),
        }
    }

    /// Opens an interface. Returns its number: the first one is zero. The interface ends with the
    /// sockets of the loop.
    ///
    /// # Errors
    /// Those of the operating system: [`PermissionDenied`](io::ErrorKind::PermissionDenied) without
    /// the capability `CAP_NET_ADMIN`, [`NotFound`](io::ErrorKind::NotFound) without the device
    /// `/dev/net/tun`, [`ResourceBusy`](io::ErrorKind::ResourceBusy) if the name is used.
    pub fn open(&mut self, options: TunOptions) -> io::Result<SocketNumber> {
        let (fd, name) = options.open()?;
        self.add(fd, name)
    }

    /// Adds the descriptor of an interface that was opened elsewhere, for example by a process with
    /// more rights. It gives packets without a header of its own (`IFF_NO_PI`).
    ///
    /// # Errors
    /// See [`net::Sockets::source`].
    pub fn adopt(&mut self, fd: OwnedFd, name: impl Into<String>) -> io::Result<SocketNumber> {
        self.add(fd, name.into())
    }

    fn add(&mut self, fd: OwnedFd, name: String) -> io::Result<SocketNumber> {
        fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        let source = self.registrar.source(fd, Interest::Both)?;
        let index = self.interfaces.len();
        self.numbers.insert(source.id(), index);
        self.interfaces.push(Interface {
            name,
            source: Some(source),
            failures: Failures::default(),
        });
        Ok(SocketNumber::of(index))
    }

    /// Gives the packets of an interface to a task.
    pub fn set_owner(&mut self, interface: SocketNumber, task: TaskId) {
        self.owners.insert(interface, task);
    }

    /// Returns the name that an interface had when it was opened.
    #[must_use]
    pub fn name(&self, interface: SocketNumber) -> Option<&str> {
        let interface = self.interfaces.get(interface.0 as usize)?;
        Some(&interface.name)
    }

    fn owner_of(&self, interface: SocketNumber) -> Option<TaskId> {
        let owner = self.owners.get(&interface);
        owner.or_else(|| self.tasks.first()).copied()
    }
}

impl Interface {
    fn send(&mut self, packet: &Payload<'_>) -> io::Result<()> {
        let source = self.source.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let sent = source.write_with(|fd| Ok(rustix::io::write(fd, packet)?));
        let Err(error) = sent else {
            return Ok(());
        };
        match Errno::from_io_error(&error) {
            Some(Errno::BADFD) => self.remove(),
            Some(Errno::MSGSIZE) => {
                let length = packet.len();
                self.failures.note(None, SocketError::TooLong { length });
            }
            // There is no room: the packet is counted.
            Some(Errno::AGAIN) => {}
            _ => {
                let failed = SocketError::Send(error.kind());
                self.failures.note(None, failed);
            }
        }
        Err(error)
    }

    /// Closes the descriptor of an interface that the system has removed.
    fn remove(&mut self) {
        if self.source.take().is_some() {
            self.failures.note(None, SocketError::InterfaceGone);
        }
    }
}

impl Sockets<RawPackets> for LoopTun {
    fn route(&mut self, input: &RawPacket<'_>) -> Option<TaskId> {
        self.owner_of(input.interface)
    }

    fn transmit(&mut self, _: TaskId, packet: RawPacket<'static>) -> io::Result<()> {
        let Some(interface) = self.interfaces.get_mut(packet.interface.0 as usize) else {
            self.strays.note(None, SocketError::NoSocket);
            return Err(io::ErrorKind::NotFound.into());
        };
        interface.send(&packet.payload)
    }

    fn spawned(&mut self, task: TaskId) {
        self.tasks.insert(task);
    }

    fn ended(&mut self, task: TaskId) {
        self.tasks.remove(&task);
        self.owners.retain(|_, owner| *owner != task);
    }

    fn on_socket(&mut self, event: Event) {
        let index = event.socket().and_then(|id| self.numbers.get(id).copied());
        let Some(index) = index else {
            return;
        };
        match event {
            Event::Readable(_) => self.reading = Some((index, BATCH)),
            // It is not read at present.
            Event::Closed(_) => self.interfaces[index].remove(),
            _ => {}
        }
    }

    fn next_input<'a>(
        &mut self,
        _: Instant,
        _: &dyn Fn(TaskId) -> bool,
        buffer: &'a mut Vec<u8>,
    ) -> Option<(Option<TaskId>, RawPacket<'a>)> {
        let (index, left) = self.reading?;
        self.reading = left.checked_sub(1).map(|left| (index, left));
        self.reading?;
        let interface = self.interfaces.get_mut(index)?;
        let source = interface.source.as_ref()?;
        buffer.resize(LONGEST, 0);
        match source.read_with(|fd| Ok(rustix::io::read(fd, &mut buffer[..])?)) {
            Ok(length) => {
                let number = SocketNumber::of(index);
                let packet = RawPacket::new(number, &mut buffer[..length]);
                Some((self.owner_of(number), packet))
            }
            Err(error) => {
                self.reading = None;
                match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    // No other error of a read passes.
                    _ => interface.remove(),
                }
                None
            }
        }
    }

    fn has_input(&self) -> bool {
        self.reading.is_some()
    }

    fn flush(&mut self, now: Instant) -> u64 {
        for (index, interface) in self.interfaces.iter_mut().enumerate() {
            let number = SocketNumber::of(index);
            interface.failures.report(now, number, &mut self.failures);
        }
        let none = SocketNumber(u32::MAX);
        self.strays.report(now, none, &mut self.failures);
        0
    }

    fn pause_receiving(&mut self, pauses: bool) {
        for source in self.interfaces.iter().filter_map(|it| it.source.as_ref()) {
            if pauses {
                source.pause_reading();
            } else {
                source.resume_reading();
            }
        }
    }

    fn next_failure(&mut self) -> Option<SocketFailure> {
        self.failures.pop_front()
    }
}

impl fmt::Debug for LoopTun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.interfaces.iter().map(|it| &it.name);
        f.debug_list().entries(names).finish()
    }
}
