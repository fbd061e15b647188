use std::{
    convert::Infallible,
    error::Error,
    thread::spawn,
    time::{Duration, Instant},
};

struct Move(i32);
struct Frames;

enum Request {
    Move(Move),
    Frames(Frames),
}
enum Reply {
    Move(i32),
    Frames(u64),
}
ump::impl_ask!(Request, Reply, Infallible: Move => i32, Frames => u64);

fn main() -> Result<(), Box<dyn Error>> {
    let (server, client) = ump::channel();
    let player = spawn(move || (client.ask(Move(2)).wait(), client.ask(Frames).wait()));

    let (mut position, mut frames, mut next) = (0, 0, Instant::now());
    loop {
        match server.wait_deadline(next) {
            Ok(Some((Request::Move(Move(by)), caller))) => {
                position += by;
                let _ = caller.reply(Reply::Move(position));
            }
            Ok(Some((Request::Frames(_), caller))) => drop(caller.reply(Reply::Frames(frames))),
            Ok(None) => (frames, next) = (frames + 1, next + Duration::from_millis(16)), // draw it
            Err(_) => break, // no client is left
        }
    }
    let (moved, drawn) = player.join().map_err(|_| "the player panicked")?;
    assert!(moved? == 2 && drawn? <= frames);
    Ok(())
}
