//! The program `ump-mesh`, which `ump mesh` runs.

fn main() -> std::process::ExitCode {
    ump_mesh::cli::main()
}
