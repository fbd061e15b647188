//! Callers and servers on several threads.

use std::thread;

use ump_router::{Router, ServeOptions};

use crate::Double;

#[test]
fn each_request_ends_once_while_servers_come_and_go() {
    const CLIENTS: u64 = 3;
    const EACH: u64 = 500;
    let router = Router::new();
    let served: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let router = router.clone();
                scope.spawn(move || {
                    for number in 1..=EACH {
                        let reply = router.request("a", Double(number)).wait_for_server().wait();
                        assert_eq!(reply.unwrap(), number * 2);
                    }
                })
            })
            .collect();
        let servers: Vec<_> = (0..2)
            .map(|_| {
                let router = router.clone();
                scope.spawn(move || {
                    let mut served = 0;
                    loop {
                        let Ok(server) =
                            router.serve_with::<Double>("a", ServeOptions::new().standby())
                        else {
                            return served;
                        };
                        for (call, rctx) in server.iter().take(7) {
                            served += 1;
                            rctx.reply(call.message.0 * 2).unwrap();
                        }
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        router.close();
        servers
            .into_iter()
            .map(|server| server.join().unwrap())
            .sum()
    });
    assert_eq!(served as u64, CLIENTS * EACH);
}
