//! The manifest as a whole, and the checks of references between its parts.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

use crate::{
    application_options::ApplicationOptions,
    component::Component,
    component_options::take_tool,
    document::{Document, Item, Keys},
    error::{Error, Problem},
    id::ComponentId,
    normalize,
    trigger::{HttpTrigger, ParsedTrigger},
    variables::Variables,
};

/// A manifest that this host can serve. Every component that a trigger or an allowed host names is
/// defined, and so is every variable that a template names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// `[application]`.
    pub application: Application,
    /// `[variables]`.
    pub variables: Variables,
    /// `[[trigger.http]]`, in the order of the manifest.
    pub triggers: Vec<HttpTrigger>,
    /// `[component.<id>]`, and the components that triggers define inline. The latter have the ids
    /// that Spin generates, `<trigger>-component` or `inline-component<n>`.
    pub components: BTreeMap<ComponentId, Component>,
}

/// `[application]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Application {
    /// Name of the application.
    pub name: String,
    /// Version, in any format.
    pub version: Option<String>,
    /// Description for humans.
    pub description: Option<String>,
    /// Authors of the application.
    pub authors: Vec<String>,
    /// `[application.tool.tirage]`.
    #[serde(skip_serializing_if = "ApplicationOptions::is_empty")]
    pub options: ApplicationOptions,
}

/// Trigger types of Spin and its plugins that this host doesn't support.
const UNSUPPORTED_TRIGGERS: &[(&str, &str)] = &[
    ("command", USE_HTTP),
    ("cron", USE_HTTP),
    ("kinesis", USE_HTTP),
    ("mqtt", USE_HTTP),
    ("redis", USE_HTTP),
    ("sqs", USE_HTTP),
    ("timer", USE_HTTP),
];
const USE_HTTP: &str = "let the queue or the scheduler POST to the route of an http trigger";

impl Manifest {
    /// Reads a manifest from a file.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if the file can't be read; otherwise the errors of [`Manifest::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse_as(&path.to_string_lossy(), &text)
    }

    /// Parses the text of a manifest. Errors name the file `spin.toml`.
    ///
    /// # Errors
    ///
    /// The first [`Problem`] found. Variables are checked first, then components, then triggers; in
    /// each table, unknown keys come before missing ones.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_as("spin.toml", text)
    }

    fn parse_as(file: &str, text: &str) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &[
                "spin_manifest_version",
                "application",
                "variables",
                "trigger",
                "component",
            ],
            unsupported: &[("spin_version", "set spin_manifest_version = 2")],
        };
        const TRIGGER_KEYS: Keys = Keys {
            known: &["http"],
            unsupported: UNSUPPORTED_TRIGGERS,
        };
        let document = Document::new(file, text);
        let root = document.root()?;
        if let Some(version) = root.peek("spin_manifest_version") {
            check_version(&version)?;
        }
        let mut root = root.table(&KEYS)?;
        root.require("spin_manifest_version")?;
        let application = root.require("application")?;
        let application_location = application.location();
        let application = Application::read(application)?;
        let variables = match root.take("variables") {
            Some(item) => Variables::read(item)?,
            None => Variables::default(),
        };
        let mut components = root
            .entries("component")?
            .into_iter()
            .map(|(id, item)| Ok((id.parse()?, Component::read(item, &variables)?)))
            .collect::<Result<_, _>>()?;
        let triggers = root
            .require("trigger")?
            .table(&TRIGGER_KEYS)?
            .array("http")?
            .into_iter()
            .map(|item| ParsedTrigger::read(item, &variables))
            .collect::<Result<Vec<_>, _>>()?;
        let manifest = Self {
            triggers: normalize::normalize(triggers, &mut components)?,
            application,
            variables,
            components,
        };
        manifest.check_hosts()?;
        if let Some(live) = &manifest.application.options.live
            && !manifest.components.contains_key(&live.component)
        {
            let problem =
                normalize::unknown_component(live.component.as_str(), &manifest.components);
            return Err(application_location.error(problem));
        }
        Ok(manifest)
    }

    /// Checks the allowed hosts whose values don't depend on the environment.
    fn check_hosts(&self) -> Result<(), Error> {
        let defaults = self.variables.defaults();
        for host in self
            .components
            .values()
            .flat_map(|c| &c.allowed_outbound_hosts)
        {
            let allowed = host.check_defaults(&defaults)?;
            if host.template.is_literal()
                && let Some(id) = allowed.as_ref().and_then(|allowed| allowed.component())
                && !self.components.contains_key(id)
            {
                let problem = normalize::unknown_component(id, &self.components);
                return Err(host.location.clone().error(problem));
            }
        }
        Ok(())
    }
}

impl Application {
    fn read(item: Item<'_>) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &[
                "name",
                "version",
                "description",
                "authors",
                "targets",
                "trigger",
                "tool",
            ],
            unsupported: &[],
        };
        let mut table = item.table(&KEYS)?;
        table.array("targets")?;
        if let Some(trigger) = table.take("trigger") {
            check_trigger_defaults(trigger)?;
        }
        let options = match take_tool(&mut table)? {
            Some(item) => ApplicationOptions::read(item)?,
            None => ApplicationOptions::default(),
        };
        Ok(Self {
            name: table.require("name")?.string()?.to_owned(),
            version: table.text("version")?,
            description: table.text("description")?,
            authors: table.strings("authors")?,
            options,
        })
    }
}

fn check_version(version: &Item<'_>) -> Result<(), Error> {
    match version.display().as_str() {
        "2" => Ok(()),
        other => Err(version.error(Problem::Version(other.to_owned()))),
    }
}

/// Checks `[application.trigger]`. Like Spin 4, this host accepts only `/` as the `base`.
fn check_trigger_defaults(item: Item<'_>) -> Result<(), Error> {
    const KEYS: Keys = Keys {
        known: &["http"],
        unsupported: UNSUPPORTED_TRIGGERS,
    };
    const HTTP_KEYS: Keys = Keys {
        known: &["base"],
        unsupported: &[],
    };
    let Some(http) = item.table(&KEYS)?.take("http") else {
        return Ok(());
    };
    match http.table(&HTTP_KEYS)?.take("base") {
        Some(base) if base.string()? != "/" => Err(base.error(Problem::Unsupported {
            what: base.key(),
            instead: "start each route with it, as Spin 4 requires",
        })),
        _ => Ok(()),
    }
}
