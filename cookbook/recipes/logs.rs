use std::{error::Error, fs, time::Duration};

use tracing::{Level, info, warn};
use ump_log::{Builder, File, Format, Sink};

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("shop.log");
    let file = File::new(&path, Format::Json)
        .rotate_bytes(64 << 20)
        .rotate_every(24 * 3600 * SECOND) // at midnight, UTC
        .compress()
        .cap_bytes(1 << 30); // all files together
    let guard = Builder::new() // keep the guard: it flushes at the end
        .filter("info")
        .sink(file)
        .sink(Sink::stderr(Format::Text).level(Level::WARN))
        .tail(1000, Format::Text)
        .init()?;
    guard.install_panic_hook(SECOND);

    info!(article = "tea", count = 3, "sold");
    guard.set_filter("warn")?; // while it runs
    info!("not logged");
    warn!("sold out");

    let tail = guard.tail().ok_or("there is one")?;
    tail.after(1).wait()?; // until there are two; `.await` in async code
    guard.flush(SECOND)?;
    let page = tail.last(1000);
    assert!(page.lines.iter().any(|line| line.text.ends_with("sold out")));

    let written = fs::read_to_string(path)?;
    assert!(written.contains("sold out") && !written.contains("not logged"));
    Ok(())
}
