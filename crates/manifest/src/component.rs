//! A component: a WebAssembly file, and what it is given.

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

/// `[component.<id>]`, or the component that a trigger defines in its own table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Component {
    /// What it does, in words.
    pub description: Option<String>,
    /// The WebAssembly file, from the manifest's folder.
    pub source: PathBuf,
    /// The environment variables that the component sees. No templates: the text is the value.
    pub environment: BTreeMap<String, String>,
    /// The variables that the component can ask for.
    pub variables: BTreeMap<VariableName, Template>,
    /// The hosts that the component may reach.
    pub allowed_outbound_hosts: Vec<HostTemplate>,
    /// The files that the component may read.
    pub files: Files,
    /// How the component is built.
    pub build: Option<Build>,
    /// `[component.<id>.tool.tirage]`.
    pub options: ComponentOptions,
    /// Where the manifest defines it.
    #[serde(skip)]
    pub location: Location,
}

/// `[component.<id>.build]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Build {
    /// The commands, run one after the other.
    pub commands: Vec<String>,
    /// The folder to run them in, from the manifest's.
    pub workdir: Option<PathBuf>,
    /// Patterns of the files that the component is built from.
    pub watch: Vec<String>,
}

impl Component {
    /// The variables that it needs, be it for itself or for its allowed hosts; some maybe twice.
    pub fn needs(&self) -> impl Iterator<Item = &VariableName> {
        let hosts = self
            .allowed_outbound_hosts
            .iter()
            .map(|host| &host.template);
        self.variables
            .values()
            .chain(hosts)
            .flat_map(Template::variables)
    }

    /// The values of its variables.
    ///
    /// # Errors
    ///
    /// `values` lacks one that [`Component::needs`] names.
    pub fn variables(
        &self,
        values: &Values,
    ) -> Result<BTreeMap<VariableName, Value>, crate::Unresolved> {
        self.variables
            .iter()
            .map(|(name, template)| Ok((name.clone(), values.render(template)?)))
            .collect()
    }

    /// The hosts that it may reach, in an application of the components `running`.
    ///
    /// # Errors
    ///
    /// With these values, an entry is no allowed host; or `values` lacks one that
    /// [`Component::needs`] names.
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
        const STORES: &str = "state lives in Postgres, files in S3";
        const COMPOSE: &str = "compose the component before it is served (for example with wac)";
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
                ("profile", "build what the manifest names as `source`"),
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
            instead: "name a file, built or fetched before, not a URL or a registry",
        }));
    }
    match item.string()? {
        "" => Err(item.error(Problem::InvalidValue {
            key: item.key(),
            found: String::new(),
            reason: "it is the path of a file",
        })),
        path => Ok(path.into()),
    }
}
