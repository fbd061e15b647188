//! The lines of the steps.

use serde_json::json;

use crate::cli::{
    exit::{Error, Exit},
    output::print,
};

pub(super) struct Report {
    is_json: bool,
    has_failed: bool,
}

impl Report {
    pub(super) fn new(is_json: bool) -> Self {
        let has_failed = false;
        Self {
            is_json,
            has_failed,
        }
    }

    pub(super) fn ok(&mut self, step: &str, found: &str) -> Result<(), Error> {
        self.line(step, true, found, None)
    }

    pub(super) fn failed(&mut self, step: &str, found: &str, advice: &str) -> Result<(), Error> {
        self.has_failed = true;
        self.line(step, false, found, Some(advice))
    }

    /// Ends with an error if a step has failed.
    pub(super) fn end(self) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::silent(Exit::NotReached));
        }
        Ok(())
    }

    fn line(&self, step: &str, ok: bool, found: &str, advice: Option<&str>) -> Result<(), Error> {
        if self.is_json {
            let line = json!({"step": step, "ok": ok, "found": found, "advice": advice});
            return print(&line.to_string());
        }
        let word = if ok { "ok" } else { "FAIL" };
        print(&format!("{word:<4} {step:<11} {found}"))?;
        match advice {
            Some(advice) => print(&format!("     {:<11} {advice}", "")),
            None => Ok(()),
        }
    }
}
