//! Templates: strings in which `{{ name }}` stands for the value of a variable.
//!
//! As in Spin, the values of `[component.x.variables]` and the entries of `allowed_outbound_hosts` are
//! templates; other values, such as those of `environment`, are literal. A literal `{{` can't be
//! written. A `}}` without `{{` is literal.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::id::{IdError, VariableName};

/// A string that may contain variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Literal text.
    Literal(String),
    /// The value of a variable.
    Variable(VariableName),
}

/// An invalid template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{{` without its `}}`.
    #[error("unclosed `{{{{` in {0:?}")]
    Unclosed(String),
    /// Invalid variable name between the braces.
    #[error("between `{{{{` and `}}}}`: {0}")]
    Name(#[from] IdError),
}

impl Template {
    /// Returns the parts in order. Two literals never follow each other.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the variables in the template.
    pub fn variables(&self) -> impl Iterator<Item = &VariableName> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable(name) => Some(name),
        })
    }

    /// `true` if the template has no variables.
    pub fn is_literal(&self) -> bool {
        self.variables().next().is_none()
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (name, after) = after
                .split_once("}}")
                .ok_or_else(|| TemplateError::Unclosed(text.to_owned()))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Variable(name.trim().parse()?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self { parts })
    }
}

/// Formats the template as it is written in a manifest.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Variable(name) => write!(f, "{{{{ {name} }}}}"),
        })
    }
}

impl Serialize for Template {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Part {
        Part::Literal(text.to_owned())
    }

    fn variable(name: &str) -> Part {
        Part::Variable(name.parse().unwrap())
    }

    #[test]
    fn templates_are_split_into_parts() {
        for (text, parts) in [
            ("", vec![]),
            ("a", vec![literal("a")]),
            (
                "a-{{ b }}-c",
                vec![literal("a-"), variable("b"), literal("-c")],
            ),
            ("{{a}}{{  b  }}", vec![variable("a"), variable("b")]),
            ("a }} b", vec![literal("a }} b")]),
            ("{ a }", vec![literal("{ a }")]),
        ] {
            assert_eq!(text.parse::<Template>().unwrap().parts(), parts, "{text}");
        }
    }

    #[test]
    fn invalid_templates_are_errors() {
        for text in [
            "{{",
            "{{ a",
            "{{ a }} {{ b",
            "{{ }}",
            "{{ a b }}",
            "{{ A }}",
            "{{{{ a }}}}",
        ] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_template_displays_as_it_is_written() {
        let text = "http://{{ host }}:{{ port }}/";
        assert_eq!(text.parse::<Template>().unwrap().to_string(), text);
    }
}
