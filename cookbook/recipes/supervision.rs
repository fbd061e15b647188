use std::{convert::Infallible, error::Error, time::Duration};

use ump_server::{
    Restart, Stop,
    system::{Attributes, Group, Strategy, System},
    thread,
    ump::RequestError,
};

const MINUTE: Duration = Duration::from_secs(60);

type Failure = RequestError<(), Infallible>;

fn main() -> Result<(), Box<dyn Error>> {
    let group = Group::new("all")
        .members(["parser", "front"])
        .strategy(Strategy::RestForOne) // also rebuilds what needs the one that failed
        .restart(Restart::new().limit(5, MINUTE));
    let system = System::builder()
        .thread("parser", Attributes::new(), |_| {
            Ok(thread::reply(|text: &'static str| text.len() / text.matches('x').count())) // a bug
        })
        .thread("front", Attributes::new().needs("parser").capacity(64), |cx| {
            let parser = cx.client::<&str, usize, Infallible>("parser")?;
            Ok(thread::answer(move |text: &'static str| -> Result<usize, Failure> {
                parser.request(text).wait().map_err(RequestError::without_message)
            }))
        })
        .group(group)
        .on_failure(|event| eprintln!("{event}"))
        .start(MINUTE)
        .wait()?; // or `.await?`

    let front = system.client::<&str, usize, Failure>("front")?;
    assert!(front.request("ab").wait().is_err()); // the parser panics, and both are rebuilt
    assert_eq!(front.request("xx").wait()?, 1);
    let report = system.stop(Stop::Drain, MINUTE).wait();
    assert!(report.is_clean(), "{report}");
    Ok(())
}
