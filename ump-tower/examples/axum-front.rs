//! A server on a thread behind axum. Each outcome has its status.
//!
//! ```sh
//! cargo run -p ump-tower --features axum --example axum-front
//! curl -i http://127.0.0.1:3000/4    # 200
//! curl -i http://127.0.0.1:3000/0    # 422: the application's own error
//! curl -i http://127.0.0.1:3000/13   # 500: the handler panics
//! ```

use std::time::Duration;

use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use ump_server::{OnPanic, thread};
use ump_tower::axum::{Caller, ErrorResponse};

/// A status is an error with a response.
type Inverses = Caller<u32, f64, StatusCode>;

async fn invert(store: Inverses, Path(n): Path<u32>) -> Result<String, ErrorResponse<StatusCode>> {
    Ok(store.request(n).await?.to_string())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (client, _) = thread::Builder::new()
        .capacity(64)
        .on_panic(OnPanic::Continue)
        .spawn(|_| {
            Ok(thread::answer(|n: u32| match n {
                0 => Err(StatusCode::UNPROCESSABLE_ENTITY),
                13 => panic!("nobody outside sees this text"),
                n => Ok(f64::from(n).recip()),
            }))
        })
        .map_err(|error| error.to_string())?;
    let inverses: Inverses = Caller::new(client).timeout(Duration::from_secs(1));
    let app = Router::new()
        .route("/{n}", get(invert))
        .with_state(inverses);

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:3000").await?;
        axum::serve(listener, app).await
    })?;
    Ok(())
}
