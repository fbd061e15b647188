//! Output that a full socket holds up, while a thread waits for the same link.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use ump_router::link::{
    session::Timeouts,
    sockets::{ConnectOptions, ListenOptions},
};

use super::{Ca, Text, assert_opens, config};
use crate::{
    leading::await_idle_loop,
    support::{Double, LONG, await_server, carrying},
};

/// Copies bytes until the end, each part while the gate is open.
fn copy(mut from: &TcpStream, mut to: &TcpStream, gate: &Mutex<()>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let _is_open = gate.lock().unwrap();
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Forwards one connection. The bytes to the client wait while the gate is locked. The server's
/// socket has little room: small segments, and a small buffer that receives them.
///
/// Returns its address.
fn forward(to: SocketAddr, gate: Arc<Mutex<()>>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        server.set_recv_buffer_size(16 << 10).unwrap();
        let _ = server.set_tcp_mss(1400); // not every system lets it be set
        server.connect(&to.into()).unwrap();
        let server = TcpStream::from(server);
        thread::scope(|scope| {
            scope.spawn(|| copy(&client, &server, &Mutex::new(())));
            copy(&server, &client, &gate);
        });
    });
    address
}

/// TLS takes what it encrypts before the socket takes it, so the session has nothing to send.
#[test]
fn a_thread_that_reads_a_link_leaves_no_ciphertext_unwritten() {
    const CHUNK: usize = 16 << 10; // what is encrypted at once
    let ca = Ca::new("a CA");
    let certified = |name| config(&ca.issue(&[name]), &ca.pem());
    // No ping wakes anybody.
    let timeouts = Timeouts {
        ping: Duration::from_secs(3600),
        silence: Duration::from_secs(7200),
        ..Timeouts::default()
    };
    let (hub, leaf) = (carrying(), carrying());
    for router in [&hub, &leaf] {
        router.carry_requests::<Text>().unwrap();
    }
    let options = ListenOptions::new().tls(certified("127.0.0.1"));
    let listener = hub.listen_with("tls:127.0.0.1:0", options.timeouts(timeouts));
    let listener = listener.unwrap();
    let address = listener.address().to_string();
    let gate = Arc::new(Mutex::new(()));
    let address = address.strip_prefix("tls:").unwrap().parse().unwrap();
    let address = format!("tls:{}", forward(address, Arc::clone(&gate)));
    let options = ConnectOptions::new().tls(certified("leaf"));
    let link = leaf.connect_with(&address, options.timeouts(timeouts));
    let link = link.unwrap();
    assert_opens(&link);
    let reading = hub.serve::<Double>("a").unwrap();
    let reading = thread::spawn(move || {
        for (call, rctx) in &reading {
            await_idle_loop();
            rctx.reply(2 * call.message.0).unwrap();
        }
    });
    let server = hub.serve::<Text>("large").unwrap();
    // As the server of its channel it does not wait for the link.
    let requests: &ump::Server<_, _, _> = &server;
    await_server(&leaf, "a");
    for chunks in 1..=40 {
        for number in 1..5 {
            let reply = leaf.request("a", Double(number)).wait();
            assert_eq!(reply.unwrap(), 2 * number);
        }
        let caller = leaf.clone();
        let (send, reply) = mpsc::channel();
        thread::spawn(move || {
            let request = caller.request("large", Text(String::new()));
            let _ = send.send(request.wait_for_server().wait());
        });
        let (_, context) = requests.wait().unwrap();
        await_idle_loop();
        let size = chunks * CHUNK - 256; // with its header nearly as many chunks
        let is_closed = gate.lock().unwrap();
        context.reply("x".repeat(size)).unwrap();
        let _ = listener.links(); // the loop has done what it had to
        drop(is_closed);
        let reply = reply.recv_timeout(LONG);
        let reply = reply.unwrap_or_else(|_| panic!("no reply of {size} bytes"));
        assert_eq!(reply.unwrap().len(), size);
    }
    hub.close();
    reading.join().unwrap();
}
