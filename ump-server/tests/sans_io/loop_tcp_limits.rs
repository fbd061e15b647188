//! Connections of workers that have no room for reports, and of tasks that end.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use ump_server::sans_io::{
    Controller, ControllerBuilder, LoopTcp, Report, ShutDown, StreamInput, StreamOutput,
};

use crate::stream_tasks::Relay;

const MINUTE: Duration = Duration::from_secs(60);
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

#[test]
fn a_worker_without_room_for_reports_sleeps_although_bytes_come_to_a_closing_connection() {
    let (address, addresses) = mpsc::channel();
    let controller: Controller<Relay> = ControllerBuilder::new()
        .reports(1)
        .start_with(move |_, cx| {
            let mut tcp = LoopTcp::new(cx.sockets()).close_timeout(MINUTE);
            let number = tcp.listen(ANY)?;
            let _ = address.send(tcp.local_addr(number)?);
            Ok(tcp)
        })
        .unwrap();
    let task = controller.spawn(Relay::default()).wait().unwrap();
    let address = addresses.recv().unwrap();
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        let Some(Report::Event {
            event: StreamInput::Opened { connection, .. },
            ..
        }) = controller.next_report().wait()
        else {
            panic!("it is opened");
        };
        (stream, connection)
    };
    let (mut closing, connection) = connect();
    let (mut other, _) = connect();
    let close = StreamOutput::Close { connection };
    controller.command(task, close).wait().unwrap();
    let stats = || controller.status()[0].stats;
    // The first report fills the queue, and the second one waits.
    for received in [3, 4] {
        other.write_all(b"x").unwrap();
        while stats().received < received {
            thread::yield_now();
        }
    }
    closing.write_all(b"late").unwrap();
    let before = stats().turns;
    thread::sleep(Duration::from_millis(200));
    let turns = stats().turns - before;
    assert!(turns < 20, "{turns} turns with nothing to do");
    assert!(controller.next_report().wait().is_some());
    drop((closing, other));
    assert!(controller.stop(MINUTE).wait().is_clean());
}

#[test]
fn the_end_of_a_task_ends_its_attempts_to_connect() {
    // A listener whose queue is full does not answer.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(ANY).into()).unwrap();
    listener.listen(0).unwrap();
    let peer = listener.local_addr().unwrap();
    let fill = (0..8).map(|_| {
        let stream = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        stream.set_nonblocking(true).unwrap();
        let _ = stream.connect(&peer);
        stream
    });
    let _fill: Vec<_> = fill.collect();
    thread::sleep(Duration::from_millis(50));

    let controller: Controller<Relay> = ControllerBuilder::new()
        .start_with(|_, cx| Ok(LoopTcp::new(cx.sockets())))
        .unwrap();
    let task = controller.spawn(Relay::default()).wait().unwrap();
    let connect = StreamOutput::connect(1, peer.as_socket().unwrap());
    controller.command(task, connect).wait().unwrap();
    assert_eq!(controller.sockets(0).len(), 1);
    let client = controller.client(0);
    assert_eq!(client.ask(ShutDown(MINUTE)).wait().unwrap(), []);
    assert_eq!(controller.sockets(0).len(), 0);
    drop(client);
    assert!(controller.stop(MINUTE).wait().is_clean());
}
