//! The dashboard: one page, embedded in the program. It reads `/events`, and needs nothing from
//! outside.

pub(crate) const HTML: &str = include_str!("index.html");
pub(crate) const STYLE: &str = include_str!("style.css");
pub(crate) const SCRIPT: &str = include_str!("app.js");
pub(crate) const LOG_SCRIPT: &str = include_str!("log.js");
pub(crate) const ICON: &str = include_str!("icon.svg");
