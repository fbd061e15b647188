//! The programs that answer requests. A program is killed when nobody waits for it any more, and
//! when it writes too much. What it leaves in the background is killed when it has ended.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// The most of the standard error that becomes a reason.
const MAX_REASON: u64 = 4096;

/// The programs that run, by number. Dropped, it kills them.
#[derive(Debug, Default)]
pub(super) struct Jobs(BTreeMap<u64, Arc<Mutex<Process>>>);

/// What a program has said.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) stdout: Vec<u8>,
    /// It wrote more, and was killed.
    pub(super) is_too_long: bool,
    pub(super) stderr: Vec<u8>,
    pub(super) status: ExitStatus,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Its number may belong to another program from then on.
    is_reaped: bool,
}

impl Jobs {
    /// Returns how many have not ended. One that is killed counts until its thread ends.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Starts a program in a process group of its own. A thread gives it the input, collects its
    /// output, at most so many bytes, and calls `done`.
    pub(super) fn start(
        &mut self,
        job: u64,
        (command, topic): (&str, &str),
        input: Vec<u8>,
        max_output: u64,
        done: impl FnOnce(io::Result<Output>) + Send + 'static,
    ) -> io::Result<()> {
        let mut child = Command::new("sh")
            .args(["-c", command])
            .env("UMP_TOPIC", topic)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let is_reaped = false;
        let process = Arc::new(Mutex::new(Process { child, is_reaped }));
        self.0.insert(job, Arc::clone(&process));
        let run = move || {
            let ((stdout, is_too_long), stderr) = thread::scope(|scope| {
                scope.spawn(move || {
                    if let Some(mut stdin) = stdin {
                        let _ = stdin.write_all(&input); // it need not read it
                    }
                });
                let errors = scope.spawn(move || read_all(stderr, MAX_REASON));
                let output = read_up_to(stdout, max_output);
                if output.1 {
                    lock(&process).kill(); // the output may have no end
                }
                (output, errors.join().unwrap_or_default())
            });
            let status = wait(&process);
            done(status.map(|status| Output {
                stdout,
                is_too_long,
                stderr,
                status,
            }));
        };
        let thread = thread::Builder::new().name("command".to_owned()).spawn(run);
        if let Err(error) = thread {
            self.kill(job);
            self.finish(job);
            return Err(error);
        }
        Ok(())
    }

    /// Forgets a program that has ended.
    pub(super) fn finish(&mut self, job: u64) {
        self.0.remove(&job);
    }

    /// Kills a program and what it has started. Its thread still calls `done`.
    pub(super) fn kill(&self, job: u64) {
        if let Some(process) = self.0.get(&job) {
            lock(process).kill();
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for process in self.0.values() {
            lock(process).kill();
        }
    }
}

impl Process {
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    fn kill(&self) {
        if let (false, Some(pid)) = (self.is_reaped, self.pid()) {
            let _ = kill_process_group(pid, Signal::KILL); // it may have ended
        }
    }
}

fn lock(process: &Mutex<Process>) -> MutexGuard<'_, Process> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for the end of a program, without keeping others from killing it. Then kills what it has
/// left in its group.
fn wait(process: &Mutex<Process>) -> io::Result<ExitStatus> {
    let pid = lock(process).pid();
    if let Some(pid) = pid {
        // It stays a zombie, so that its number is not used again.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(
            waitid(WaitId::Pid(pid), options),
            Err(rustix::io::Errno::INTR)
        ) {}
    }
    let mut process = lock(process);
    process.kill(); // the number of the group is still its own
    process.is_reaped = true;
    process.child.wait()
}

/// Reads to the end, and keeps so many bytes.
fn read_all(source: Option<impl Read>, max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut source) = source {
        // What was read before an error is kept. The rest is read, too, so that the program ends.
        let _ = source.by_ref().take(max).read_to_end(&mut bytes);
        let _ = io::copy(&mut source, &mut io::sink());
    }
    bytes
}

/// Reads at most so many bytes, and returns whether there are more.
fn read_up_to(source: Option<impl Read>, max: u64) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        // What was read before an error is kept.
        let _ = source.take(max + 1).read_to_end(&mut bytes);
    }
    let is_longer = bytes.len() as u64 > max;
    (bytes, is_longer)
}
