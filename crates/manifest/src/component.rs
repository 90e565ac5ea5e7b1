//! A component: a WebAssembly file, its configuration and its permissions.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use crate::{
    component_options::ComponentOptions,
    document::{Item, Keys},
    error::{Error, Location, Problem},
    files::Files,
    hosts::{AllowedHost, AllowedHosts, HostTemplate},
    id::{ComponentId, VariableName},
    template::Template,
    variables::{Value, Values, Variables},
};

/// `[component.<id>]`, or a component that a trigger defines inline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Description for humans.
    pub description: Option<String>,
    /// Path of the WebAssembly file, relative to the manifest's folder.
    pub source: PathBuf,
    /// Environment variables of the component. The values are literal, not templates.
    pub environment: BTreeMap<String, String>,
    /// Variables that the component can read through `spin:variables`.
    pub variables: BTreeMap<VariableName, Template>,
    /// Hosts that the component may call.
    pub allowed_outbound_hosts: Vec<HostTemplate>,
    /// Files that the component may read.
    pub files: Files,
    /// Commands that build the component.
    pub build: Option<Build>,
    /// `[component.<id>.tool.tirage]`.
    pub options: ComponentOptions,
    /// Location of its table.
    #[serde(skip)]
    pub location: Location,
}

/// `[component.<id>.build]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Build {
    /// Commands, run one after the other.
    pub commands: Vec<String>,
    /// Folder in which they run, relative to the manifest's.
    pub workdir: Option<PathBuf>,
    /// Patterns of the source files.
    pub watch: Vec<String>,
}

impl Component {
    /// Returns the variables that its templates use, those of allowed hosts included. A variable may
    /// occur more than once.
    pub fn required_variables(&self) -> impl Iterator<Item = &VariableName> {
        let hosts = self
            .allowed_outbound_hosts
            .iter()
            .map(|host| &host.template);
        self.variables
            .values()
            .chain(hosts)
            .flat_map(Template::variables)
    }

    /// Renders the values of its variables.
    ///
    /// # Errors
    ///
    /// `values` lacks one of [`Component::required_variables`].
    pub fn variables(
        &self,
        values: &Values,
    ) -> Result<BTreeMap<VariableName, Value>, crate::Unresolved> {
        self.variables
            .iter()
            .map(|(name, template)| Ok((name.clone(), values.render(template)?)))
            .collect()
    }

    /// Renders its allowed hosts. `running` are the ids that `http://*.spin.internal` stands for.
    ///
    /// # Errors
    ///
    /// An entry is invalid with these values, or `values` lacks one of
    /// [`Component::required_variables`].
    pub fn allowed_hosts<'c>(
        &self,
        values: &Values,
        running: impl IntoIterator<Item = &'c ComponentId, IntoIter: Clone>,
    ) -> Result<AllowedHosts, Error> {
        let entries = self
            .allowed_outbound_hosts
            .iter()
            .filter_map(|host| host.resolve(values).transpose())
            .collect::<Result<Vec<AllowedHost>, _>>()?;
        Ok(AllowedHosts::new(entries, running))
    }

    pub(crate) fn read(item: Item<'_>, declared: &Variables) -> Result<Self, Error> {
        const STORES: &str = "keep state in Postgres and files in S3";
        const COMPOSE: &str = "compose the component at build time (for example with wac)";
        const KEYS: Keys = Keys {
            known: &[
                "source",
                "description",
                "environment",
                "variables",
                "allowed_outbound_hosts",
                "files",
                "exclude_files",
                "build",
                "targets",
                "tool",
            ],
            unsupported: &[
                ("key_value_stores", STORES),
                ("sqlite_databases", STORES),
                ("ai_models", "call a model over HTTP"),
                ("allowed_http_hosts", "use `allowed_outbound_hosts`"),
                ("dependencies", COMPOSE),
                ("dependencies_inherit_configuration", COMPOSE),
                ("profile", "build the file that `source` names"),
            ],
        };
        let mut table = item.table(&KEYS)?;
        let source = source(&table.require("source")?)?;
        let environment = table.entries("environment")?;
        let variables = table.entries("variables")?;
        let hosts = table.array("allowed_outbound_hosts")?;
        table.array("targets")?;
        Ok(Self {
            source,
            description: table.text("description")?,
            environment: environment
                .iter()
                .map(|(name, value)| Ok((name.string()?.to_owned(), value.string()?.to_owned())))
                .collect::<Result<_, _>>()?,
            variables: variables
                .iter()
                .map(|(name, value)| Ok((name.parse()?, declared.template(value)?)))
                .collect::<Result<_, _>>()?,
            allowed_outbound_hosts: hosts
                .iter()
                .map(|item| HostTemplate::read(item, declared))
                .collect::<Result<_, _>>()?,
            files: Files::read(&mut table)?,
            build: table.take("build").map(Build::read).transpose()?,
            options: ComponentOptions::read(&mut table)?,
            location: table.location(),
        })
    }
}

impl Build {
    fn read(item: Item<'_>) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &["command", "workdir", "watch"],
            unsupported: &[],
        };
        let mut table = item.table(&KEYS)?;
        let command = table.require("command")?;
        Ok(Self {
            commands: if command.is_string() {
                vec![command.string()?.to_owned()]
            } else {
                command.strings()?
            },
            workdir: table.text("workdir")?.map(PathBuf::from),
            watch: table.strings("watch")?,
        })
    }
}

fn source(item: &Item<'_>) -> Result<PathBuf, Error> {
    if item.is_table() {
        return Err(item.error(Problem::Unsupported {
            what: format!("{} = {{ … }}", item.key()),
            instead: "name a local file, not a URL or a registry",
        }));
    }
    match item.string()? {
        "" => Err(item.invalid("", "expected the path of a file")),
        path => Ok(path.into()),
    }
}
