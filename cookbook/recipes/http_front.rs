use std::{collections::HashMap, error::Error, time::Duration};

use axum::{Router, body::Body, extract, http::Request, http::StatusCode, routing};
use tower::ServiceExt;
use ump_server::{OnPanic, service, thread};
use ump_tower::axum::ErrorResponse;

struct Store(HashMap<u32, String>);

#[service]
impl Store {
    fn get(&self, key: u32) -> Result<String, StatusCode> {
        assert!(key < 100, "a bug in the handler");
        self.0.get(&key).cloned().ok_or(StatusCode::NOT_FOUND)
    }
}

async fn get(
    store: extract::State<StoreClient>,
    key: extract::Path<u32>,
) -> Result<String, ErrorResponse<StatusCode>> {
    Ok(store.get(key.0).timeout(Duration::from_secs(5)).if_room().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = Store(HashMap::from([(1, "one".to_owned())]));
    let (client, _) =
        thread::Builder::new().capacity(64).on_panic(OnPanic::Continue).serve(store)?;
    let app = Router::new().route("/{key}", routing::get(get)).with_state(StoreClient(client));

    for (path, status) in [("/1", 200), ("/2", 404), ("/100", 500)] {
        let response = app.clone().oneshot(Request::get(path).body(Body::empty())?).await?;
        assert_eq!(response.status(), status);
    }
    Ok(())
}
