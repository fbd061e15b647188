//! The router of axum, with what holds for all routes.

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use tokio::{sync::watch, time};

use super::{app::App, events::Stopping, problem::Problem, routes::ROUTES};
use crate::serve::{Access, Guard, Limits};

/// The longest body of a request, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// Scripts, styles and connections of this page only; nothing from outside.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

pub(crate) fn router(
    app: Arc<App>,
    guard: Guard,
    limits: Limits,
    stopping: watch::Receiver<bool>,
) -> Router {
    let guard = Arc::new(guard);
    let mut router = Router::new();
    for route in ROUTES {
        let gate = (Arc::clone(&guard), route.access);
        let check = middleware::from_fn_with_state(gate, check_token);
        router = router.route(route.path, (route.handler)().layer(check));
    }
    router
        .fallback(|| async { Problem::not_found("there is no such route: see /api/help") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the route does not have this method: see /api/help",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(limits, within))
        .layer(middleware::from_fn_with_state(guard, check_site))
        .layer(middleware::map_response(harden))
        .layer(axum::Extension(Stopping(stopping)))
        .with_state(app)
}

async fn check_site(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.check_site(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, detail)) => Problem::new(status, detail).into_response(),
    }
}

async fn check_token(
    State((guard, access)): State<(Arc<Guard>, Access)>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check_token(access, request.headers()) {
        Ok(()) => next.run(request).await,
        Err((status, detail)) => Problem::new(status, detail).into_response(),
    }
}

/// Ends what takes too long, from the head of a request to the start of its response.
async fn within(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    match time::timeout(limits.request, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request did not arrive in time, or took too long",
        )
        .into_response(),
    }
}

/// Adds the headers that keep a browser from more than it needs.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
