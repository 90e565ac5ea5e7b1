//! Running programs to their end, with errors that say which one failed and how.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::signals::Foreground;

/// Runs `command` to its end. What it prints goes to our stderr.
///
/// # Errors
/// When it can't be started or fails; the error names it. [`crate::signals::Interrupted`], when we were told to stop
/// in the meantime; the command and all that it started have been told too.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    run_with_stdout(command.stdout(std::io::stderr()))
}

/// Runs `command` to its end. What it prints on stdout is our result too.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_with_stdout(command: &mut Command) -> Result<()> {
    let status = Foreground::start(command.stdin(Stdio::null()))
        .with_context(|| format!("cannot start {}", describe(command)))?
        .wait()?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs `command` to its end and returns what it printed on stdout.
///
/// # Errors
/// When it can't be started or fails; the error holds what it said on stderr.
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
        .with_context(|| format!("{} printed something that isn't text", describe(command)))
}

/// The program `cargo`, with the environment that it has when a person calls it.
///
/// We were started by cargo, which tells us about our own package. Build scripts that ask to be run
/// again when such a variable changes (ring's does) would otherwise be, each time that people build
/// now with us and now without.
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

/// The program called `name`, where a shell would find it.
pub(crate) fn find_in_path(name: impl AsRef<Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(&name))
        .find(|program| is_executable(program))
}

/// Whether `program` is a file that may be run.
fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    program
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// `command` as it would be typed, without its environment.
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
    fn failures_name_the_program_and_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo no such luck >&2; exit 3"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("sh -c"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("no such luck"), "{error}");
    }

    #[test]
    fn programs_are_found_where_a_shell_finds_them() {
        assert!(find_in_path("sh").is_some_and(|sh| is_executable(&sh)));
        assert!(find_in_path("there-is-no-such-program").is_none());
    }
}
