//! A server on a thread, asked by blocking and by async code: `cargo run --example quickstart`

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
        for (number, caller) in &server {
            let square = number.checked_mul(number);
            let answer = square.ok_or_else(|| format!("the square of {number} is too large"));
            answered += u32::from(caller.answer(answer).is_ok());
        }
        answered
    });

    // Blocking code calls it like a function.
    print(format!("3 squared is {:?}\n", client.req(3)))?;
    print(format!("100000 squared is {:?}\n", client.req(100_000)))?;

    // Async code awaits the same call, here two at once.
    let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
    let both = async { tokio::join!(client.areq(4), client.areq(5)) };
    let (four, five) = runtime.block_on(both);
    print(format!("4 and 5 squared are {four:?} and {five:?}\n"))?;

    drop(client);
    let answered = server.join().expect("the server ends");
    print(format!("{answered} requests answered\n"))?;
    Ok(true)
}
