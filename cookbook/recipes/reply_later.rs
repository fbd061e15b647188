use std::{error::Error, sync::mpsc, thread::spawn};

use ump_server::{service, thread};

type Job = (String, service::ReplyLater<Printer, usize>);

struct Printer(mpsc::Sender<Job>);

#[service]
impl Printer {
    fn print(&self, text: String, reply: service::ReplyTo<'_, Self, usize>) {
        // If the other thread has gone, the reply is dropped, and the caller gets `NoReply`.
        let _ = self.0.send((text, reply.detach()));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (jobs, queue) = mpsc::channel::<Job>();
    let device = spawn(move || {
        for (text, caller) in queue {
            if !caller.is_cancelled() {
                let _ = caller.reply(text.len()); // an error if the caller leaves just now
            }
        }
    });

    let (client, _) = thread::serve(Printer(jobs));
    let printer = PrinterClient(client);
    let first = printer.print("one".into()).submit().wait()?;
    let second = printer.print("three".into()).submit().wait()?;
    assert_eq!((first.wait()?, second.wait()?), (3, 5));

    drop(printer);
    device.join().map_err(|_| "the thread panicked")?;
    Ok(())
}
