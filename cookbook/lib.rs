//! The recipes of `docs/cookbook.md`, compiled and run by `cargo test -p cookbook`.
//!
//! A recipe is a file in `recipes`. The page shows all of it, and nothing else. After an edit,
//! `COOKBOOK=overwrite cargo test -p cookbook page` copies the files into the page.
#![cfg(test)]

mod page;

/// Makes a module of each recipe, and a test that runs its `main`.
macro_rules! recipes {
    ($($name:ident)*) => {
        $(mod $name {
            include!(concat!("recipes/", stringify!($name), ".rs"));

            #[test]
            fn runs() {
                if let Err(error) = main() {
                    panic!("{error:?}");
                }
            }
        })*

        /// The names of the recipes that have a `main`.
        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];
    };
}

recipes! {
    anyhow_errors
    back_pressure
    batch
    blocking_and_async
    cache
    cancel_long_work
    fan_out
    http_front
    logs
    own_a_database
    own_loop
    periodic_job
    pipeline
    priority_lanes
    rate_limit
    reply_later
    request_by_topic
    retry
    select
    single_flight
    slow_subscriber
    state_machine
    supervision
    tower_stack
    watchdog
    worker_pool
}

/// The names of the recipes that are not run by `main`.
const OTHERS: &[&str] = &["fake_server", "from_c", "graceful_shutdown", "virtual_time"];

#[allow(dead_code, reason = "the test replaces the server")]
mod fake_server {
    include!("recipes/fake_server.rs"); // a test
}

mod virtual_time {
    include!("recipes/virtual_time.rs"); // a test
}

mod from_c {
    include!("recipes/from_c.rs");

    #[test]
    fn runs() {
        unsafe extern "C" {
            fn from_c() -> c_int;
        }
        // SAFETY: the `main` of the recipe's C has no arguments, and may be called at any time.
        assert_eq!(unsafe { from_c() }, 0);
    }
}

mod graceful_shutdown {
    include!("recipes/graceful_shutdown.rs");

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Its `main` waits for Ctrl-C.
    #[tokio::test]
    async fn runs() {
        let _ = main;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let client = async {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let mut response = vec![0; 12];
            stream.read_exact(&mut response).await.unwrap();
            assert_eq!(response, b"HTTP/1.1 200");
            drop(stop); // while the connection is open
            stream.read_to_end(&mut response).await.unwrap();
            assert!(response.ends_with(b"\r\n\r\n1"));
        };
        let (served, ()) = tokio::join!(serve(listener, async { drop(stopped.await) }), client);
        served.unwrap();
    }
}
