//! A web handler in front of SQLite, with this family and with its peers: see
//! `docs/comparison.md`.
//!
//! ```sh
//! cargo run -p comparison -- ump values.sqlite
//! curl -i -X PUT -d one http://127.0.0.1:3000/values/1
//! curl -i http://127.0.0.1:3000/values/1
//! ```

mod http;
mod programs;
mod store;

use std::{env, error::Error, io::Write, net::TcpListener, path::PathBuf, time::Duration};

use programs::{actix_actor, kameo_actor, ractor_factory, tokio_mpsc, ump_service};
use store::Store;

const USAGE: &str =
    "usage: comparison ump|tokio|kameo|actix|ractor DATABASE [ADDRESS [CAPACITY [DEADLINE_IN_MS]]]";

/// The arguments of all programs.
struct Config {
    database: PathBuf,
    /// The most requests that wait for the owner of the store.
    capacity: usize,
    /// The time after which a request ends with 504.
    deadline: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |n: usize, default: &str| {
        let given = arguments.get(n).map(String::as_str);
        given.unwrap_or(default).to_owned()
    };
    let config = Config {
        database: arguments.get(1).ok_or(USAGE)?.into(),
        capacity: argument(3, "64").parse()?,
        deadline: Duration::from_millis(argument(4, "1000").parse()?),
    };
    // A database that cannot be opened ends the program here.
    drop(Store::open(&config.database)?);
    let listener = TcpListener::bind(argument(2, "127.0.0.1:3000"))?;
    listener.set_nonblocking(true)?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    match &*arguments[0] {
        "ump" => ump_service::run(listener, config)?,
        "tokio" => tokio_mpsc::run(listener, config)?,
        "kameo" => kameo_actor::run(listener, config)?,
        "actix" => actix_actor::run(listener, config)?,
        "ractor" => ractor_factory::run(listener, config)?,
        _ => return Err(USAGE.into()),
    }
    Ok(())
}
