//! The build and the start of the program.

use std::{env, process};

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{app::Shared, time::unix_seconds};

pub(super) async fn info(State(app): Shared) -> Json<Value> {
    let (started, since) = app.began;
    let program = env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name());
    Json(json!({
        "program": program.map(|name| name.to_string_lossy()),
        "pid": process::id(),
        "admin_started_at_s": unix_seconds(started),
        "admin_uptime_s": since.elapsed().as_secs_f64(),
        "admin_version": env!("CARGO_PKG_VERSION"),
        "is_debug_build": cfg!(debug_assertions),
        "system": format!("{} {}", env::consts::OS, env::consts::ARCH),
        "allows_actions": app.allows_actions,
        "shows_log": app.sources.log.is_some(),
        "program_info": app.sources.info,
    }))
}
