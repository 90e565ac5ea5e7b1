//! Prints a child's output, with the child's name before each line.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::ChildId;
use crate::progress;

/// Number of lines that are repeated in the error when a child dies.
const LAST_LINES: usize = 20;
/// ANSI colours that are readable on light and dark backgrounds: cyan, magenta, blue, yellow.
const COLOURS: [&str; 4] = ["36", "35", "34", "33"];

/// Prints one output stream of a child.
pub(super) struct Printer {
    pub(super) first_line: Option<Sender<String>>,
    pub(super) prefix: String,
    pub(super) last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Printer {
    pub(super) fn follow(mut self, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
                self.line(String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
        })
    }

    fn line(&mut self, line: &str) {
        if let Some(waiting) = self.first_line.take() {
            // The receiver is gone if the caller doesn't need the line.
            let _ = waiting.send(line.to_owned());
            return;
        }
        eprintln!("{}{line}", self.prefix);
        let mut last = self
            .last_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line.to_owned());
    }
}

pub(super) fn prefix(id: ChildId) -> String {
    let colour = COLOURS.iter().cycle().nth(id.number).unwrap_or(&"0");
    progress::style(colour, &format!("{:>12} │ ", id.name))
}
