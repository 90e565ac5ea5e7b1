//! Variables, by which a deployment configures components.
//!
//! `[variables]` declares them. A component sees only those that templates in its own `variables`
//! table or `allowed_outbound_hosts` use. A value is that of the first environment variable of
//! [`VariableName::environment_names`] that is set, or the default in the manifest. The caller passes
//! a function that looks up environment variables in the process and in `.env`; this crate reads
//! neither.
//!
//! `Debug`, `Display` and `Serialize` hide a value that is secret or was rendered from a secret one.
//! Only [`Value::reveal`] returns it.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    document::{Item, Keys},
    error::{Error, Location, Problem, suggest},
    id::VariableName,
    template::{Part, Template},
};

/// The variables of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Variables(BTreeMap<VariableName, Variable>);

/// One entry of `[variables]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Description for humans.
    pub description: Option<String>,
    /// Value if the environment has none. A variable without a default is required.
    pub default: Option<Value>,
    /// `true` if values must not appear in logs.
    pub secret: bool,
    /// Location of the declaration.
    #[serde(skip)]
    pub location: Location,
}

/// The value of a variable, or of a template.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    text: String,
    secret: bool,
}

/// Resolved variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<VariableName, Value>);

/// All required variables without a value, with their locations if they are declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingVariables(pub Vec<(VariableName, Option<Location>)>);

/// A template uses a variable that isn't among the [`Values`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable `{0}` has not been resolved")]
pub struct Unresolved(pub VariableName);

impl Variables {
    /// Iterates over the variables, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&VariableName, &Variable)> {
        self.0.iter()
    }

    /// Resolves the variables in `needed`.
    ///
    /// `lookup` returns the value of an environment variable.
    ///
    /// # Errors
    ///
    /// One error for all required variables in `needed` that have no value.
    pub fn resolve<'n>(
        &self,
        needed: impl IntoIterator<Item = &'n VariableName>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Values, MissingVariables> {
        let mut values = BTreeMap::new();
        let mut missing = BTreeMap::new();
        for name in needed {
            let variable = self.0.get(name);
            let given = name
                .environment_names()
                .iter()
                .find_map(|name| lookup(name));
            let value = match given {
                Some(text) => Some(Value {
                    text,
                    secret: variable.is_some_and(|variable| variable.secret),
                }),
                None => variable.and_then(|variable| variable.default.clone()),
            };
            match value {
                Some(value) => drop(values.insert(name.clone(), value)),
                None => {
                    let location = variable.map(|variable| variable.location.clone());
                    missing.insert(name.clone(), location);
                }
            }
        }
        if missing.is_empty() {
            Ok(Values(values))
        } else {
            Err(MissingVariables(missing.into_iter().collect()))
        }
    }

    /// Returns the defaults.
    pub(crate) fn defaults(&self) -> Values {
        let defaults = self.0.iter().filter_map(|(name, variable)| {
            let default = variable.default.clone()?;
            Some((name.clone(), default))
        });
        Values(defaults.collect())
    }

    /// Reads a template and checks that its variables are declared.
    pub(crate) fn template(&self, item: &Item<'_>) -> Result<Template, Error> {
        let template: Template = item.parse()?;
        if let Some(unknown) = template
            .variables()
            .find(|name| !self.0.contains_key(*name))
        {
            return Err(item.error(Problem::UnknownVariable {
                name: unknown.to_string(),
                suggestion: suggest(unknown.as_str(), self.0.keys().map(VariableName::as_str)),
            }));
        }
        Ok(template)
    }

    pub(crate) fn read(item: Item<'_>) -> Result<Self, Error> {
        item.entries()?
            .into_iter()
            .map(|(key, value)| Ok((key.parse()?, Variable::read(&key, value)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Variable {
    fn read(name: &Item<'_>, item: Item<'_>) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &["default", "required", "secret", "description"],
            unsupported: &[],
        };
        let mut table = item.table(&KEYS)?;
        let flag = |item: Option<Item<'_>>| item.map_or(Ok(false), |item| item.boolean());
        let required = flag(table.take("required"))?;
        let secret = flag(table.take("secret"))?;
        let default = table.text("default")?;
        if required == default.is_some() {
            return Err(name.error(Problem::RequiredOrDefault(name.string()?.to_owned())));
        }
        Ok(Self {
            description: table.text("description")?,
            default: default.map(|text| Value { text, secret }),
            secret,
            location: name.location(),
        })
    }
}

impl Values {
    /// Returns the value of that variable.
    pub fn get(&self, name: &VariableName) -> Option<&Value> {
        self.0.get(name)
    }

    /// Renders a template. The result is secret if one of its variables is.
    ///
    /// # Errors
    ///
    /// A variable of the template has no value.
    pub fn render(&self, template: &Template) -> Result<Value, Unresolved> {
        let mut value = Value {
            text: String::new(),
            secret: false,
        };
        for part in template.parts() {
            match part {
                Part::Literal(text) => value.text.push_str(text),
                Part::Variable(name) => {
                    let part = self.get(name).ok_or_else(|| Unresolved(name.clone()))?;
                    value.text.push_str(&part.text);
                    value.secret |= part.secret;
                }
            }
        }
        Ok(value)
    }
}

impl Value {
    /// Returns the text, even if it is secret. Only for the component that the value belongs to.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// `true` if the text must not appear in logs and messages.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    fn redacted(&self) -> &str {
        if self.secret { "(secret)" } else { &self.text }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.redacted())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.redacted(), f)
    }
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.redacted())
    }
}

impl std::error::Error for MissingVariables {}

impl fmt::Display for MissingVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("missing values of required variables:")?;
        self.0.iter().try_for_each(|(name, location)| {
            f.write_str("\n  ")?;
            if let Some(location) = location {
                write!(f, "{location}: ")?;
            }
            let [first, second] = name.environment_names();
            write!(f, "{name} (set {first} or {second})")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    const DECLARED: &str = r#"
        [variables]
        host = { default = "localhost" }
        password = { required = true, secret = true }
        region = { required = true }
    "#;

    fn declared() -> Variables {
        let document = Document::new("spin.toml", DECLARED);
        let root = document.root().unwrap();
        Variables::read(root.peek("variables").unwrap()).unwrap()
    }

    fn names<const N: usize>(names: [&str; N]) -> [VariableName; N] {
        names.map(|name| name.parse().unwrap())
    }

    #[test]
    fn spins_environment_name_precedes_the_plain_name_and_the_default() {
        let variables = declared();
        let [host] = names(["host"]);
        let resolve = |set: &[(&str, &str)]| {
            let lookup = |name: &str| {
                let (_, value) = set.iter().find(|(key, _)| *key == name)?;
                Some((*value).to_owned())
            };
            let values = variables.resolve([&host], lookup).unwrap();
            values.get(&host).unwrap().reveal().to_owned()
        };
        assert_eq!(resolve(&[("SPIN_VARIABLE_HOST", "a"), ("HOST", "b")]), "a");
        assert_eq!(resolve(&[("HOST", "b")]), "b");
        assert_eq!(resolve(&[("SPIN_VARIABLE_HOST", "")]), "");
        assert_eq!(resolve(&[]), "localhost");
    }

    #[test]
    fn one_error_lists_all_missing_variables_that_are_needed() {
        let variables = declared();
        let all = names(["host", "password", "region"]);
        let error = variables.resolve(&all, |_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "missing values of required variables:\n  \
             spin.toml:4:9: password (set SPIN_VARIABLE_PASSWORD or PASSWORD)\n  \
             spin.toml:5:9: region (set SPIN_VARIABLE_REGION or REGION)"
        );
        assert!(variables.resolve(&names(["host"]), |_| None).is_ok());
    }

    #[test]
    fn secrets_and_values_rendered_from_them_are_hidden() {
        let values = declared()
            .resolve(&names(["host", "password"]), |name| {
                (name == "PASSWORD").then(|| "hunter2".to_owned())
            })
            .unwrap();
        let url = "postgres://{{ password }}@{{ host }}".parse().unwrap();
        let url = values.render(&url).unwrap();
        assert_eq!(url.reveal(), "postgres://hunter2@localhost");
        assert!(url.is_secret());
        for shown in [
            url.to_string(),
            format!("{url:?} {values:?}"),
            serde_json::to_string(&url).unwrap(),
        ] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let plain = values.render(&"{{ host }}".parse().unwrap()).unwrap();
        assert_eq!(
            (plain.to_string().as_str(), plain.is_secret()),
            ("localhost", false)
        );
    }
}
