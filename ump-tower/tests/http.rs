//! Servers behind axum, over loopback.

mod support;

use std::{
    convert::Infallible,
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{FromRef, Path},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use support::{LONG, eventually_async, must_end};
use tokio::net::TcpListener;
use ump::{Client, Error, Refused, RequestError, SendError, Server, hooks::Cycle};
use ump_server::{OnPanic, thread};
use ump_tower::axum::{Caller, ErrorResponse, status};

/// The application's own error.
#[derive(Debug, PartialEq)]
struct NoSuchKey;

impl IntoResponse for NoSuchKey {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, "no such key").into_response()
    }
}

type Store = Caller<u32, String, NoSuchKey>;
type TestServer = Server<u32, String, NoSuchKey>;
type TestClient = Client<u32, String, NoSuchKey>;

fn bounded(capacity: usize) -> (TestServer, TestClient) {
    ump::bounded(capacity).unwrap()
}

async fn read(store: Store, Path(key): Path<u32>) -> Result<String, ErrorResponse<NoSuchKey>> {
    store.request(key).await
}

/// Serves over loopback, until the test ends.
async fn serve(store: Store) -> SocketAddr {
    let app = Router::new().route("/{key}", get(read)).with_state(store);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A response that was read to its end.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Checks a response for a request without a reply.
    #[track_caller]
    fn assert_problem(&self, status: u16, executed: &str, retry_after: Option<&str>) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            Some("application/problem+json")
        );
        assert_eq!(self.header(header::RETRY_AFTER), retry_after);
        let title = StatusCode::from_u16(status)
            .unwrap()
            .canonical_reason()
            .unwrap();
        let start =
            format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":""#);
        let end = format!(r#"","executed":"{executed}"}}"#);
        assert!(
            self.body.starts_with(&start) && self.body.ends_with(&end),
            "{self:?}"
        );
    }
}

/// Sends a request over a connection of its own.
async fn fetch(address: SocketAddr, path: &'static str) -> Answer {
    let fetching = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_idle_connections(0)
            .proxy(None)
            .timeout_global(Some(LONG))
            .build()
            .into();
        let (head, mut body) = agent
            .get(format!("http://{address}{path}"))
            .call()
            .unwrap()
            .into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.read_to_string().unwrap(),
        }
    });
    must_end(fetching).await.unwrap()
}

/// Reads a response that was not sent.
async fn read_answer(response: Response) -> Answer {
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

#[tokio::test]
async fn replies_and_errors_of_the_application_pass() {
    let (client, _) = thread::serve(thread::answer(|key| match key {
        1 => Ok("one".to_owned()),
        _ => Err(NoSuchKey),
    }));
    let address = serve(Caller::new(client).timeout(LONG)).await;
    let answer = fetch(address, "/1").await;
    assert_eq!((answer.status, &*answer.body), (200, "one"));
    let answer = fetch(address, "/2").await;
    assert_eq!((answer.status, &*answer.body), (404, "no such key"));
    assert_eq!(answer.header(header::RETRY_AFTER), None);
}

#[tokio::test]
async fn a_full_queue_is_503() {
    let (server, client) = bounded(1);
    client.post(0).wait().unwrap();
    let pause = Duration::from_millis(2500);
    let address = serve(Caller::new(client).retry_after(pause)).await;
    fetch(address, "/1")
        .await
        .assert_problem(503, "no", Some("3"));
    assert_eq!(server.len(), 1);
}

#[tokio::test]
async fn a_caller_may_wait_for_room() {
    let (server, client) = bounded(1);
    client.post(0).wait().unwrap();
    let address = serve(Caller::new(client.clone()).wait_for_room()).await;
    let answer = tokio::spawn(fetch(address, "/1"));
    let server = std::thread::spawn(move || {
        drop(server.wait().unwrap());
        let (n, rctx) = server.wait().unwrap();
        rctx.reply(n.to_string()).unwrap();
    });
    assert_eq!(must_end(answer).await.unwrap().body, "1");
    server.join().unwrap();

    // Until the deadline.
    let (server, client) = bounded(1);
    client.post(0).wait().unwrap();
    let store = Caller::new(client)
        .wait_for_room()
        .timeout(Duration::from_millis(5));
    fetch(serve(store).await, "/1")
        .await
        .assert_problem(504, "no", None);
    drop(server);
}

#[tokio::test]
async fn a_deadline_is_504() {
    let (server, client) = bounded(1);
    let address = serve(Caller::new(client).timeout(Duration::from_millis(5))).await;
    fetch(address, "/1").await.assert_problem(504, "no", None);
    assert!(server.is_empty());

    let (taken, wait_taken) = std::sync::mpsc::channel();
    let taking = std::thread::spawn(move || {
        // A request may expire before it is taken.
        while let Ok(request) = server.wait() {
            let _ = taken.send(request);
        }
    });
    let mut answer = fetch(address, "/1").await;
    while answer.body.contains(r#""no""#) {
        answer = fetch(address, "/1").await;
    }
    answer.assert_problem(504, "perhaps", None);
    drop(wait_taken);
    drop(taking);
}

#[tokio::test]
async fn a_panic_is_500_and_tells_nothing() {
    let (client, _) = thread::Builder::new()
        .name("secret server")
        .on_panic(OnPanic::Continue)
        .spawn(|_| {
            Ok(thread::answer(|key: u32| {
                assert!(key > 0, "secret text");
                Ok::<_, NoSuchKey>(key.to_string())
            }))
        })
        .unwrap();
    let address = serve(Caller::new(client)).await;
    let answer = fetch(address, "/0").await;
    answer.assert_problem(500, "perhaps", None);
    assert!(!answer.body.contains("secret"), "{answer:?}");
    // The server goes on.
    assert_eq!(fetch(address, "/1").await.body, "1");
}

#[tokio::test]
async fn a_server_that_is_gone_is_503() {
    let (server, client) = bounded(1);
    let address = serve(Caller::new(client)).await;
    drop(server);
    fetch(address, "/1")
        .await
        .assert_problem(503, "no", Some("1"));
}

#[tokio::test]
async fn a_weak_caller_lets_the_server_end() {
    let (server, client) = bounded(1);
    let store = Caller::weak(client.weak());
    let address = serve(store.clone()).await;
    let answer = tokio::spawn(fetch(address, "/1"));
    eventually_async(|| client.len() == 1).await;
    // The request in flight is still served.
    drop(client);
    server.wait().unwrap().1.reply("one".to_owned()).unwrap();
    assert_eq!(must_end(answer).await.unwrap().body, "one");
    let end = must_end(tokio::task::spawn_blocking(move || {
        server.wait().unwrap_err()
    }))
    .await;
    assert_eq!(end.unwrap(), Error::ClientsDisappeared);
    assert!(store.client().is_none());
    fetch(address, "/1")
        .await
        .assert_problem(503, "no", Some("1"));
}

#[tokio::test]
async fn a_client_that_disconnects_cancels_its_request() {
    let (server, client) = bounded(1);
    let address = serve(Caller::new(client.clone())).await;
    for is_taken in [false, true] {
        let mut connection = TcpStream::connect(address).unwrap();
        connection
            .write_all(b"GET /1 HTTP/1.1\r\nhost: test\r\n\r\n")
            .unwrap();
        eventually_async(|| client.len() == 1).await;
        if is_taken {
            let (_, mut rctx) = server.wait().unwrap();
            drop(connection);
            must_end(rctx.cancelled()).await;
        } else {
            drop(connection);
            eventually_async(|| client.stats().cancelled_queued == 1).await;
            assert!(server.is_empty());
        }
    }
}

#[tokio::test]
async fn the_location_of_a_request_is_its_handler() {
    let (server, client) = bounded(1);
    let store = Caller::new(client);
    let line = line!() + 1;
    let request = tokio::spawn(store.request(1));
    eventually_async(|| !server.is_empty()).await;
    let (_, rctx) = server.wait().unwrap();
    assert_eq!(
        (rctx.caller().file(), rctx.caller().line()),
        (file!(), line)
    );
    drop(rctx);
    assert!(must_end(request).await.unwrap().is_err());
}

#[derive(Clone)]
struct App {
    store: Store,
}

impl FromRef<App> for Store {
    fn from_ref(app: &App) -> Self {
        app.store.clone()
    }
}

#[tokio::test]
async fn a_caller_is_a_part_of_the_state_and_layers_see_the_error() {
    let (server, client) = bounded(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let layer = middleware::map_response(move |response: Response| {
        let error = response.extensions().get::<RequestError<(), Refused>>();
        log.lock().unwrap().extend(error.cloned());
        async move { response }
    });
    let app = App {
        store: Caller::new(client),
    };
    let app: Router = Router::new()
        .route("/{key}", get(read))
        .layer(layer)
        .with_state(app);
    drop(server);
    let request = axum::http::Request::get("/1")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = tower::ServiceExt::oneshot(app, request).await.unwrap();
    read_answer(response)
        .await
        .assert_problem(503, "no", Some("1"));
    assert_eq!(*seen.lock().unwrap(), [RequestError::ServerDisappeared(())]);
}

#[tokio::test]
async fn a_deadlock_is_500_without_the_names_of_servers() {
    let cycle = || Cycle::new(["secret orders", "secret accounts"]);
    let errors = [
        (RequestError::WouldDeadlock(7, cycle()), "no"),
        (RequestError::WouldDeadlockTaken(cycle()), "perhaps"),
    ];
    for (error, executed) in errors {
        let answer = read_answer(ErrorResponse::<Infallible>::new(error).into_response()).await;
        answer.assert_problem(500, executed, None);
        assert!(!answer.body.contains("secret"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_error_of_the_application_cannot_claim_success() {
    async fn answer<E: IntoResponse>(error: E) -> Answer {
        read_answer(ErrorResponse::new(RequestError::<u8, E>::App(error)).into_response()).await
    }
    for answer in [answer(()).await, answer("secret".to_owned()).await] {
        assert_eq!(answer.status, 500);
        let body = r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#;
        assert_eq!(answer.body, body);
    }
    assert_eq!(answer(StatusCode::CONFLICT).await.status, 409);
    assert_eq!(answer(axum::response::Redirect::to("/")).await.status, 303);
}

#[test]
fn each_error_has_a_status() {
    use ump::NoReply::{Aborted, Dropped, Panicked, TimedOut};
    let of = |error| status::<(), NoSuchKey>(&error).map(|status| status.as_u16());
    assert_eq!(of(RequestError::App(NoSuchKey)), None);
    assert_eq!(of(RequestError::Full(())), Some(503));
    assert_eq!(of(RequestError::NoReply(TimedOut)), Some(504));
    for why in [Aborted, Dropped, Panicked("why".into())] {
        assert_eq!(of(RequestError::NoReply(why)), Some(500));
    }
    // A post or a submitted request that was not accepted.
    let response = ErrorResponse::<NoSuchKey>::from(SendError::Full(7));
    assert_eq!(response.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(response.error(), &RequestError::Full(()));
}

#[test]
fn the_error_of_a_stack_is_found() {
    let error = RequestError::<(), _>::App(Refused);
    let response = ErrorResponse::<Refused>::downcast(error.clone().into()).unwrap();
    assert_eq!(response.into_error(), error);
    let of_a_post = SendError::Full(());
    let response = ErrorResponse::<Refused>::downcast(of_a_post.into()).unwrap();
    assert_eq!(response.into_error(), RequestError::Full(()));
    let other = ErrorResponse::<Refused>::downcast("other".into()).unwrap_err();
    assert_eq!(other.to_string(), "other");
}
