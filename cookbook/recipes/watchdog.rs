use std::{error::Error, sync::mpsc, time::Duration};

use ump_server::{thread, watchdog::Stage};

fn main() -> Result<(), Box<dyn Error>> {
    let (report, reports) = mpsc::channel();
    let (client, _) = thread::Builder::new()
        .name("disk")
        .watchdog(Duration::from_millis(20))
        .on_stall(move |stall| drop(report.send(stall.clone())))
        .serve(thread::reply(|device: mpsc::Receiver<u32>| device.recv().unwrap_or_default()))?;

    let (device, stuck) = mpsc::channel();
    let reply = client.request(stuck).submit().wait()?; // the handler waits for the device

    let stall = reports.recv()?;
    assert_eq!((&*stall.name, stall.stage), ("disk", Stage::Noticed));
    eprintln!("{stall}"); // server disk, worker 0: .. has not returned control for 21ms, ..

    device.send(7)?;
    assert_eq!(reply.wait()?, 7);
    let over = reports.iter().find(|stall| stall.stage == Stage::Over);
    assert!(over.is_some());
    Ok(())
}
