//! The manifest as a whole: what it has, and that its parts fit together.

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
    trigger::{HttpTrigger, WrittenTrigger},
    variables::Variables,
};

/// A manifest that this host can serve. Every component that a trigger or an allowed host names
/// is there, and every variable that a template names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// `[application]`.
    pub application: Application,
    /// `[variables]`.
    pub variables: Variables,
    /// `[[trigger.http]]`, in the manifest's order.
    pub triggers: Vec<HttpTrigger>,
    /// `[component.<id>]` and the components that triggers define in their own tables; those are
    /// named as Spin names them, `<trigger>-component` or `inline-component<n>`.
    pub components: BTreeMap<ComponentId, Component>,
}

/// `[application]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Application {
    /// The name.
    pub name: String,
    /// The version, in whatever form.
    pub version: Option<String>,
    /// What it does, in words.
    pub description: Option<String>,
    /// Who made it.
    pub authors: Vec<String>,
    /// `[application.tool.tirage]`.
    #[serde(skip_serializing_if = "ApplicationOptions::is_empty")]
    pub options: ApplicationOptions,
}

/// The trigger types that there are for Spin.
const OTHER_TRIGGERS: &[(&str, &str)] = &[
    ("command", TRIGGER_INSTEAD),
    ("cron", TRIGGER_INSTEAD),
    ("kinesis", TRIGGER_INSTEAD),
    ("mqtt", TRIGGER_INSTEAD),
    ("redis", TRIGGER_INSTEAD),
    ("sqs", TRIGGER_INSTEAD),
    ("timer", TRIGGER_INSTEAD),
];
const TRIGGER_INSTEAD: &str = "have the queue or the clock POST to an http trigger's route";

impl Manifest {
    /// Reads a manifest from a file.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if the file cannot be read, else as [`Manifest::parse`], with the path as
    /// it is given here.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse_as(&path.to_string_lossy(), &text)
    }

    /// Reads a manifest from its text. Errors call it `spin.toml`.
    ///
    /// # Errors
    ///
    /// The first [`Problem`] that is found: in one table unknown keys come first, missing ones
    /// after them; across tables, variables, then components, then triggers.
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
            unsupported: &[("spin_version", "this host reads spin_manifest_version = 2")],
        };
        const TRIGGER_KEYS: Keys = Keys {
            known: &["http"],
            unsupported: OTHER_TRIGGERS,
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
            .map(|item| WrittenTrigger::read(item, &variables))
            .collect::<Result<Vec<_>, _>>()?;
        let manifest = Self {
            triggers: normalize::settle(triggers, &mut components)?,
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

    /// Checks allowed hosts as far as the environment does not matter.
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
            check_trigger_settings(trigger)?;
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
    match version.shown().as_str() {
        "2" => Ok(()),
        other => Err(version.error(Problem::Version(other.to_owned()))),
    }
}

/// `[application.trigger]`: Spin 4 takes a `base` of `/` and refuses any other, as this host does.
fn check_trigger_settings(item: Item<'_>) -> Result<(), Error> {
    const KEYS: Keys = Keys {
        known: &["http"],
        unsupported: OTHER_TRIGGERS,
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
            instead: "write it at the beginning of each route, as Spin 4 demands",
        })),
        _ => Ok(()),
    }
}
