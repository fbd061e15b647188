//! The examples as processes: their paths, runs to the end, signals, folders and scratch files.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Returns the path of an example, which `cargo test` builds beside its tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test knows where it is");
    let file = format!("examples/{name}{}", env::consts::EXE_SUFFIX);
    test.ancestors()
        .map(|folder| folder.join(&file))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("it is not built: cargo build -p examples --example {name}"))
}

/// The exit code and the output of a program.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Starts a program with pipes for its standard streams.
pub(crate) fn start(program: &Path, arguments: &[&str]) -> Child {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Runs a program to its end, with this standard input.
pub(crate) fn run(program: &Path, arguments: &[&str], input: &[u8]) -> End {
    let mut child = start(program, arguments);
    let mut stdin = child.stdin.take().expect("a pipe");
    // The program may end without reading it.
    let _ = stdin.write_all(input);
    drop(stdin);
    wait(child)
}

/// Waits for the end of a program, and reads its output.
pub(crate) fn wait(child: Child) -> End {
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it writes UTF-8");
    End {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Sends a signal, given its name without `SIG`.
pub(crate) fn signal(process: u32, name: &str) {
    let kill = format!("kill -{name} {process}");
    let status = Command::new("sh").args(["-c", &kill]).status();
    assert!(status.expect("sh runs").success(), "{kill}");
}

/// Asks the admin surface at a unix socket, and returns the body of its response.
#[cfg(unix)]
pub(crate) fn ask_admin(socket: &Path, path: &str) -> std::io::Result<String> {
    use std::{io::Read, os::unix::net::UnixStream};

    let mut stream = UnixStream::connect(socket)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
    assert!(head.starts_with("HTTP/1.1 200 "), "{response}");
    Ok(body.to_owned())
}

/// A process that is killed on drop.
#[derive(Debug)]
pub(crate) struct KillOnDrop(pub(crate) Child);

impl KillOnDrop {
    /// Waits for the end of the process.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, timeout: Duration) -> ExitStatus {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "{what} does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that is removed when the test ends. Its path is short enough for a unix socket in it.
///
/// It is in memory where there is such a place, as the tests of databases sync their files many
/// thousand times.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}", env!("CARGO_CRATE_NAME"), process::id());
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() {
            memory
        } else {
            env::temp_dir()
        };
        let path = parent.join(format!("ump-{name}"));
        fs::create_dir(&path).expect("a folder can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file that is removed when the test ends.
pub(crate) struct Scratch {
    path: PathBuf,
    _folder: Folder,
}

impl Scratch {
    pub(crate) fn new(contents: &[u8]) -> Self {
        let folder = Folder::new();
        let path = folder.path().join("file");
        fs::write(&path, contents).expect("a file can be made");
        Self {
            path,
            _folder: folder,
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().expect("a plain path")
    }
}
