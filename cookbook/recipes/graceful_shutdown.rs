use std::{convert::Infallible, error::Error, time::Duration};

use axum::{Router, extract::State, routing::get};
use tokio::{net::TcpListener, select, signal::ctrl_c, sync::oneshot, time};
use ump_server::{Stop, service, thread};
use ump_tower::axum::ErrorResponse;

const GRACE: Duration = Duration::from_secs(10);

struct Hits(u64);

#[service]
impl Hits {
    fn hit(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

async fn hit(State(hits): State<HitsClient>) -> Result<String, ErrorResponse<Infallible>> {
    Ok(hits.hit().timeout(Duration::from_secs(1)).await?.to_string())
}

async fn serve(
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let (client, hits) = thread::Builder::new().capacity(64).serve(Hits(0))?;
    let app = Router::new().route("/", get(hit)).with_state(HitsClient(client));
    let (stopping, stopped) = oneshot::channel::<()>();
    let stop = async move { drop((stop.await, stopping)) };
    select! {
        served = axum::serve(listener, app).with_graceful_shutdown(stop) => served?,
        () = async { drop(stopped.await); time::sleep(GRACE).await } => {} // some are open
    }
    hits.stopper().stop(Stop::Drain); // no more requests; those in the queue are served
    time::timeout(GRACE, hits).await??;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    serve(listener, async { ctrl_c().await.unwrap_or_else(|error| eprintln!("{error}")) }).await
}
