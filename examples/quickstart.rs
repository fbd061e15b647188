//! A server on a thread, asked by a blocking client and by several async ones: `cargo run --example quickstart`

use std::thread;

fn main() {
    let (server, client) = ump::channel::<u32, u32, String>();

    // The server is a plain thread that owns its state. Its loop ends when the last client has gone.
    let server = thread::spawn(move || {
        let mut answered = 0;
        while let Ok((number, caller)) = server.wait() {
            let sent = match number.checked_mul(number) {
                Some(square) => caller.reply(square),
                None => caller.fail(format!("the square of {number} is too large")),
            };
            answered += u32::from(sent.is_ok());
        }
        answered
    });

    // Blocking code calls it like a function.
    println!("3 squared is {:?}", client.req(3));
    println!("100000 squared is {:?}", client.req(100_000));

    // Async code awaits the same call, here from four tasks at once.
    let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
    runtime.block_on(async {
        let ask = |number| {
            let client = client.clone();
            tokio::spawn(async move { client.areq(number).await })
        };
        for (number, task) in [4, 5, 6, 7].map(|number| (number, ask(number))) {
            println!(
                "{number} squared is {:?}",
                task.await.expect("the task ends")
            );
        }
    });

    drop(client);
    println!(
        "{} requests answered",
        server.join().expect("the server ends")
    );
}
