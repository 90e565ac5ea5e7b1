//! Strings in which `{{ name }}` stands for a variable's value.
//!
//! Spin reads templates in the values of `[component.x.variables]` and in
//! `allowed_outbound_hosts`, and nowhere else; an `environment` value is taken as it is. There is
//! no way to write a literal `{{`. A `}}` that closes nothing is literal.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::id::{IdError, VariableName};

/// A string with variables in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that stands for itself.
    Literal(String),
    /// A variable's value.
    Variable(VariableName),
}

/// Why a template was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `{{` without its `}}`.
    #[error("`{{{{` without `}}}}` in {0:?}")]
    Unclosed(String),
    /// Something else than a variable's name between the braces.
    #[error("between {{{{ and }}}}: {0}")]
    Name(#[from] IdError),
}

impl Template {
    /// The pieces in order, no two literals side by side.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The variables that the template needs.
    pub fn variables(&self) -> impl Iterator<Item = &VariableName> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable(name) => Some(name),
        })
    }

    /// Whether the template is the same whatever the variables are.
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

/// The template as it could stand in a manifest.
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
    fn templates_are_read_part_by_part() {
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
    fn broken_templates_are_refused() {
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
