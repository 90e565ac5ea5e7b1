//! What people see while we work: one line for each step on stderr, in cargo's own style.
//!
//! Stdout is left to results: the URL of `up`, the line of `services`.

use std::fmt::Display;
use std::io::IsTerminal;

/// Says what is being done: `verb` in the margin, as cargo does.
pub(crate) fn status(verb: &str, what: impl Display) {
    eprintln!("{} {what}", style("1;32", &format!("{verb:>12}")));
}

/// Says something that is good to know and stops nothing.
pub(crate) fn note(what: impl Display) {
    eprintln!("{} {what}", style("1;33", &format!("{:>12}", "Note")));
}

/// `text` in the style with ANSI number `code`, where stderr is a terminal that wants colours.
pub(crate) fn style(code: &str, text: &str) -> String {
    if coloured() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// See <https://no-color.org>.
fn coloured() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
