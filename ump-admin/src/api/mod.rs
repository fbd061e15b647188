//! The routes: what is asked for, and what is answered.

mod actions;
mod app;
mod components;
mod document;
mod events;
mod health;
mod info;
mod log;
mod metrics;
mod modules;
mod page;
mod problem;
mod router;
mod routes;
mod sections;
mod time;
mod topics;

pub(crate) use self::{app::App, router::router};
