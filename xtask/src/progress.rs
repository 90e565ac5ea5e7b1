//! Progress messages on stderr, one line per step, in cargo's style.
//!
//! Stdout is for results: the URL of `up`, the command line of `services`.

use std::fmt::Display;
use std::io::IsTerminal;

/// Prints a step, with `verb` in the margin.
pub(crate) fn status(verb: &str, what: impl Display) {
    eprintln!("{} {what}", style("1;32", &format!("{verb:>12}")));
}

/// Prints a note.
pub(crate) fn note(what: impl Display) {
    eprintln!("{} {what}", style("1;33", &format!("{:>12}", "Note")));
}

/// Returns `text` in the ANSI style `code` if stderr is a terminal and colours are enabled.
pub(crate) fn style(code: &str, text: &str) -> String {
    if coloured() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// `true` if colours are enabled (<https://no-color.org>).
fn coloured() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
