//! Measurements in a process of their own: this program starts itself, and reads the output.

use std::{
    env,
    io::Result,
    process::{Command, Stdio},
};

use serde::de::DeserializeOwned;

/// Starts this program and waits for its results. Its progress goes to our standard error output.
pub(crate) fn run<T: DeserializeOwned>(args: &[String]) -> Result<T> {
    let child = Command::new(env::current_exe()?)
        .args(args)
        .stderr(Stdio::inherit())
        .output()?;
    if !child.status.success() {
        return Err(std::io::Error::other(format!(
            "{args:?} failed: {}",
            child.status
        )));
    }
    Ok(serde_json::from_slice(&child.stdout)?)
}

/// Restricts this thread, and all that it starts, to one CPU.
#[cfg(target_os = "linux")]
pub(crate) fn use_one_cpu() -> Result<()> {
    use nix::{
        sched::{CpuSet, sched_getaffinity, sched_setaffinity},
        unistd::Pid,
    };

    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let is_allowed = |cpu: &usize| allowed.is_set(*cpu).unwrap_or(false);
    let cpu = (0..CpuSet::count())
        .find(is_allowed)
        .expect("this runs on a CPU");
    let mut one = CpuSet::new();
    one.set(cpu)?;
    Ok(sched_setaffinity(this, &one)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn use_one_cpu() -> Result<()> {
    Err(std::io::Error::other(
        "only Linux can pin a process to a CPU",
    ))
}
