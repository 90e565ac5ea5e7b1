//! Runs programs to completion, with errors that name the program and its exit status.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::signals::Foreground;

/// Runs `command` to completion. Its output goes to stderr.
///
/// # Errors
/// When it can't be started or fails; the error names it. [`crate::signals::Interrupted`] if a signal
/// arrived meanwhile, which was passed on to the command's process group.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    run_with_stdout(command.stdout(std::io::stderr()))
}

/// Runs `command` to completion. Its stdout is passed through.
///
/// # Errors
/// The same as [`run`].
pub(crate) fn run_with_stdout(command: &mut Command) -> Result<()> {
    let status = Foreground::start(command.stdin(Stdio::null()))
        .with_context(|| format!("cannot start {}", describe(command)))?
        .wait()?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs `command` to completion and returns its stdout.
///
/// # Errors
/// When it can't be started or fails; the error holds its stderr.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    if !output.status.success() {
        bail!(
            "{} failed ({}): {}",
            describe(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("the output of {} is not UTF-8", describe(command)))
}

/// Returns a command that runs `cargo` in the environment of a normal call.
///
/// `cargo xtask` sets variables about the package xtask. Build scripts that depend on such a variable
/// (ring's does) would run again whenever builds with and without xtask alternate.
pub(crate) fn cargo(cargo: &Path) -> Command {
    let mut command = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Returns the path of the program `name`, as a shell finds it.
pub(crate) fn find_in_path(name: impl AsRef<Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(&name))
        .find(|program| is_executable(program))
}

/// `true` if `program` is an executable file.
fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    program
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Formats `command` as typed, without its environment.
fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_program_and_its_stderr() {
        let error = output(Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh -c"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("no such luck"), "{error}");
    }

    #[test]
    fn programs_are_found_in_the_path() {
        assert!(find_in_path("sh").is_some_and(|sh| is_executable(&sh)));
        assert!(find_in_path("there-is-no-such-program").is_none());
    }
}
