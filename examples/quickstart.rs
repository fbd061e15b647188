//! A server on a thread, asked by a blocking client and by several async ones: `cargo run --example
//! quickstart`

use std::{process::ExitCode, thread};

use cli::print;

fn main() -> ExitCode {
    cli::run("quickstart", quickstart)
}

fn quickstart() -> Result<bool, String> {
    let (server, client) = ump::channel::<u32, u32, String>();

    // The server is a plain thread that owns its state. Its loop ends when the last client has
    // gone.
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
    print(format!("3 squared is {:?}\n", client.req(3)))?;
    print(format!("100000 squared is {:?}\n", client.req(100_000)))?;

    // Async code awaits the same call, here from four tasks at once.
    let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
    runtime.block_on(async {
        let ask = |number| {
            let client = client.clone();
            tokio::spawn(async move { client.areq(number).await })
        };
        for (number, task) in [4, 5, 6, 7].map(|number| (number, ask(number))) {
            let square = task.await.expect("the task ends");
            print(format!("{number} squared is {square:?}\n"))?;
        }
        Ok::<_, String>(())
    })?;

    drop(client);
    let answered = server.join().expect("the server ends");
    print(format!("{answered} requests answered\n"))?;
    Ok(true)
}
