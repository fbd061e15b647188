//! A chat without a server or an address: start it in two terminals, or on two hosts of a network.
//!
//! `cargo run --example mesh-chat -- NAME [DOMAIN]`. `/who` lists the participants, `/time` asks
//! the one server of the topic `time`.

use std::{
    io::BufRead,
    thread,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use ump_mesh::{
    Config, Mesh,
    ump_router::{Message, RecvError, RequestMessage, Router, ServeOptions},
};

#[derive(Serialize, Deserialize)]
struct Line {
    from: String,
    text: String,
}

impl Message for Line {
    const PREFIX: &str = "chat";
}

/// Asks for the time, in seconds since 1970, and who says it.
#[derive(Serialize, Deserialize)]
struct Time;

impl RequestMessage for Time {
    type Reply = (u64, String);
    type Error = String;
    const PREFIX: &str = "time";
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let name = words.next().ok_or("usage: mesh-chat NAME [DOMAIN]")?;
    let domain = words.next().unwrap_or_else(|| "chat".to_owned());

    let router = Router::new();
    router.carry::<Line>()?;
    router.carry_requests::<Time>()?;
    let config = Config::new().domain(domain).name(&name);
    let mesh = Mesh::join(&router, config).wait()?;

    let mut lines = router.subscribe::<Line>("room")?;
    thread::spawn(move || {
        loop {
            match lines.recv().wait() {
                Ok(line) => println!("{}: {}", line.from, line.text),
                Err(RecvError::Missed(count)) => println!("({count} lines are missing)"),
                Err(RecvError::Interrupted) => println!("(somebody was lost)"),
                Err(_) => return,
            }
        }
    });

    // Everybody would serve; one does, and the others stand by.
    let server = router.serve_with::<Time>("now", ServeOptions::new().standby())?;
    let own_name = name.clone();
    thread::spawn(move || {
        for (_, rctx) in &server {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let _ = rctx.reply((now.unwrap_or_default().as_secs(), own_name.clone()));
        }
    });

    for text in std::io::stdin().lock().lines() {
        let text = text?;
        match &text[..] {
            "" => {}
            "/who" => {
                for one in mesh.participants() {
                    println!("  {} on {} (process {})", one.name, one.host, one.pid);
                }
            }
            "/time" => match router
                .request("now", Time)
                .timeout(Duration::from_secs(2))
                .wait()
            {
                Ok((seconds, who)) => println!("  {seconds}, says {who}"),
                Err(error) => println!("  {}", error.without_message()),
            },
            _ => {
                let from = name.clone();
                router.publish("room", Line { from, text }).wait()?;
            }
        }
    }
    mesh.leave();
    Ok(())
}
