//! The table of the routes.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use axum::{
    Json,
    http::Method,
    routing::{MethodRouter, delete, get, post, put},
};
use serde_json::{Value, json};

use super::{
    actions, app::App, components, document, events, health, info, log, metrics, modules, page,
    sections, topics,
};
use crate::serve::Access;

/// A route: a method at a path.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) summary: &'static str,
    pub(super) handler: fn() -> MethodRouter<Arc<App>>,
}

macro_rules! routes {
    ($($access:ident $method:ident $path:literal $handler:path, $summary:literal;)*) => {
        [$(Route {
            method: method(stringify!($method)),
            path: $path,
            access: Access::$access,
            summary: $summary,
            handler: || $method($handler),
        }),*]
    };
}

/// All routes, in the order of the help.
pub(super) const ROUTES: &[Route] = &routes! {
    Open get "/" page::html, "The dashboard";
    Open get "/style.css" page::css, "Its style";
    Open get "/app.js" page::script, "Its script";
    Open get "/log.js" page::log_script, "The script of its view of the log";
    Open get "/icon.svg" page::icon, "Its icon";
    Open get "/health" health::health, "200 unless a component has failed permanently, then 503";
    Open get "/ready" health::ready, "200 if each component is up, otherwise 503";
    Open get "/openapi.json" document::openapi, "The description of these routes";
    Read get "/metrics" metrics::metrics, "Metrics in the text format of Prometheus";
    Read get "/events" events::events, "Server-sent events: what has changed, once a second at most";
    Read get "/events/log" log::events, "Server-sent events: records of the log as they come, filtered";
    Read get "/api/help" help, "These routes";
    Read get "/api/info" info::info, "The build and the start of the program";
    Read get "/api/components" components::list, "The components with their instances and workers";
    Read get "/api/components/{name}" components::one, "A component";
    Read get "/api/timers" components::timers, "The number of timers of each instance";
    Read get "/api/sockets" components::sockets, "The open sockets, in pages";
    Read get "/api/topics" topics::topics, "The topics and patterns in use, in pages";
    Read get "/api/subscriptions" topics::subscriptions, "The subscriptions, in pages";
    Read get "/api/servers" topics::servers, "The servers of topics and the standbys, in pages";
    Read get "/api/retained" topics::retained, "The topics with a retained message, in pages";
    Read get "/api/explain" topics::explain, "How two patterns relate, and why";
    Read get "/api/links" topics::links, "The links to other routers";
    Read get "/api/log" log::state, "The filter and the sinks of the log";
    Read get "/api/log/records" log::records, "The last records of the log, filtered";
    Read get "/api/sections" sections::names, "The names of the program's own sections";
    Read get "/api/sections/{name}" sections::one, "A section of the program's own";
    Read get "/api/modules" modules::names, "The names of the program's modules";
    Read get "/api/modules/{name}" modules::root, "Asks a module to show its values";
    Read get "/api/modules/{name}/{*path}" modules::below, "Asks a module to show a value";
    Act post "/api/modules/{name}" modules::root, "Asks a module to add a value";
    Act post "/api/modules/{name}/{*path}" modules::below, "Asks a module to add a value below a path";
    Act put "/api/modules/{name}" modules::root, "Asks a module to set its value";
    Act put "/api/modules/{name}/{*path}" modules::below, "Asks a module to set the value of a path";
    Act delete "/api/modules/{name}" modules::root, "Asks a module to delete its values";
    Act delete "/api/modules/{name}/{*path}" modules::below, "Asks a module to delete a value";
    Act post "/api/components/{name}/renew" actions::renew, "Rebuilds the handlers of a component";
    Act post "/api/components/{name}/stop" actions::stop, "Stops a component and those that need it, for good";
    Act put "/api/log/filter" log::set_filter, "Replaces the filter of the log: its levels";
    Act delete "/api/retained" actions::forget, "Removes the retained message of a topic";
};

/// The help. Its own table contains it, so its type cannot depend on its body, as that of an `async
/// fn` would.
fn help() -> Ready<Json<Value>> {
    let routes = ROUTES.iter().map(|route| {
        json!({
            "method": route.method.as_str(),
            "path": route.path,
            "summary": route.summary,
            "needs_token": route.access == Access::Act,
        })
    });
    ready(Json(json!({ "routes": routes.collect::<Vec<_>>() })))
}

/// Returns the method with this name.
const fn method(name: &str) -> Method {
    match name.as_bytes()[0] {
        b'g' => Method::GET,
        b'd' => Method::DELETE,
        _ if name.len() == 3 => Method::PUT,
        _ => Method::POST,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn document() -> Value {
        serde_json::from_str(include_str!("openapi.json")).unwrap()
    }

    /// Each route as a line.
    fn routes() -> BTreeSet<String> {
        // The document knows no wildcards.
        let line = |route: &Route| format!("{} {}", route.method, route.path.replace("{*", "{"));
        ROUTES.iter().map(line).collect()
    }

    #[test]
    fn the_document_has_each_route_and_no_other() {
        let document = document();
        let mut documented = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                documented.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        assert_eq!(documented, routes());
        assert_eq!(ROUTES.len(), routes().len());
    }

    #[test]
    fn the_document_says_which_routes_need_a_token() {
        let document = document();
        for route in ROUTES {
            let path = route.path.replace("{*", "{");
            let method = route.method.as_str().to_lowercase();
            let operation = &document["paths"][path.as_str()][&method];
            let security = &operation["security"];
            let needs_token = security[0].get("token").is_some() && security.get(1).is_none();
            assert_eq!(needs_token, route.access == Access::Act, "{method} {path}");
            let is_open = operation["security"] == serde_json::json!([]);
            assert_eq!(is_open, route.access == Access::Open, "{method} {path}");
            assert_eq!(operation["summary"], route.summary, "{method} {path}");
        }
    }

    #[test]
    fn each_reference_of_the_document_leads_somewhere() {
        fn check(value: &Value, document: &Value) {
            match value {
                Value::Object(members) => {
                    for (name, member) in members {
                        if name == "$ref" {
                            let pointer = member.as_str().unwrap().trim_start_matches('#');
                            assert!(document.pointer(pointer).is_some(), "{pointer}");
                        }
                        check(member, document);
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| check(item, document)),
                _ => {}
            }
        }
        let document = document();
        check(&document, &document);
    }
}
