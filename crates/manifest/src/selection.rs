//! Modes: the parts of an application that can run alone.
//!
//! A component lists its modes in `tool.tirage.modes`; the mode `all` runs every component. Variables
//! that only components of other modes use need no value. Static responses belong to every mode.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    component::Component,
    error::{Error, Location, suggest},
    hosts::{AllowedHost, AllowedHosts},
    id::{ALL, ComponentId, Mode, VariableName},
    manifest::Manifest,
    route::Route,
    routes::Routes,
    trigger::{HttpTrigger, Target, TriggerRoute},
    variables::{MissingVariables, Value},
};

/// The components and triggers of one mode.
#[derive(Clone, Debug)]
pub struct Selection<'m> {
    manifest: &'m Manifest,
    components: BTreeMap<&'m ComponentId, &'m Component>,
    triggers: Vec<&'m HttpTrigger>,
}

/// The values of a component that depend on the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Values of its variables.
    pub variables: BTreeMap<VariableName, Value>,
    /// Hosts that it may call.
    pub allowed_hosts: AllowedHosts,
}

/// An error of selecting a mode.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// No component has the mode.
    #[error(
        "unknown mode `{mode}`{}: expected one of {}",
        suggestion.as_ref().map(|s| format!(" (did you mean `{s}`?)")).unwrap_or_default(),
        known.join(", ")
    )]
    UnknownMode {
        /// The requested mode.
        mode: String,
        /// The modes of the manifest.
        known: Vec<String>,
        /// The most similar mode, if one is similar.
        suggestion: Option<String>,
    },
    /// A component of the mode calls a component that isn't part of it.
    #[error(
        "{location}: component `{caller}` calls `{called}`, which does not run in mode `{mode}`"
    )]
    CallsOutside {
        /// Location of the allowed host.
        location: Location,
        /// The calling component.
        caller: ComponentId,
        /// The component that doesn't run.
        called: String,
        /// The mode.
        mode: String,
    },
}

/// An error of resolving the variables of a mode.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Required variables have no value. Lists all of them.
    #[error(transparent)]
    Missing(#[from] MissingVariables),
    /// An allowed host is invalid with the values of its variables.
    #[error(transparent)]
    Invalid(#[from] Error),
}

/// A probable mistake in the routes. Spin logs a warning, too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteWarning {
    /// The route never matches, because the route of another trigger matches the same paths.
    Shadowed {
        /// Location of the route.
        location: Location,
        /// The route that never matches.
        route: Route,
        /// The trigger of the route.
        trigger: String,
        /// The trigger that matches in its place.
        by: String,
        /// Location of that trigger's route.
        by_location: Location,
    },
    /// The route never matches, because the host serves its paths itself.
    Reserved {
        /// Location of the route.
        location: Location,
        /// The route.
        route: Route,
    },
}

impl Manifest {
    /// Returns the components and triggers of a mode; `all` selects every component.
    ///
    /// # Errors
    ///
    /// No component has the mode, or a component of the mode names a component of another mode in
    /// `allowed_outbound_hosts` (other than by a template or a `*`).
    pub fn select(&self, mode: &str) -> Result<Selection<'_>, SelectError> {
        let modes = self.components.values().flat_map(|c| &c.options.modes);
        if mode != ALL && !modes.clone().any(|known| known.as_str() == mode) {
            let mut known: Vec<_> = modes.map(Mode::to_string).chain([ALL.to_owned()]).collect();
            known.sort();
            known.dedup();
            return Err(SelectError::UnknownMode {
                mode: mode.to_owned(),
                suggestion: suggest(mode, known.iter().map(String::as_str)),
                known,
            });
        }
        let is_selected =
            |component: &Component| mode == ALL || component.options.modes.contains(mode);
        let components: BTreeMap<_, _> = self
            .components
            .iter()
            .filter(|(_, component)| is_selected(component))
            .collect();
        let triggers = self
            .triggers
            .iter()
            .filter(|trigger| match &trigger.target {
                Target::Component(id) => components.contains_key(id),
                Target::StaticResponse(_) => true,
            });
        let selection = Selection {
            manifest: self,
            triggers: triggers.collect(),
            components,
        };
        selection.check_calls(mode)?;
        Ok(selection)
    }
}

impl<'m> Selection<'m> {
    /// Returns the components that run, ordered by id.
    pub fn components(&self) -> &BTreeMap<&'m ComponentId, &'m Component> {
        &self.components
    }

    /// Returns the triggers of these components and of static responses, in the order of the manifest.
    pub fn triggers(&self) -> &[&'m HttpTrigger] {
        &self.triggers
    }

    /// Returns the routing table without private triggers, and warnings about its routes.
    pub fn routes(&self) -> (Routes<&'m HttpTrigger>, Vec<RouteWarning>) {
        let public = self
            .triggers
            .iter()
            .filter_map(|trigger| match &trigger.route {
                TriggerRoute::Public(route) => Some((route.clone(), *trigger)),
                TriggerRoute::Private => None,
            });
        let (routes, shadowed) = Routes::build(public);
        let shadowed = shadowed.into_iter().map(|shadowed| RouteWarning::Shadowed {
            location: shadowed.value.location.clone(),
            route: shadowed.route,
            trigger: shadowed.value.id.clone(),
            by: shadowed.by_value.id.clone(),
            by_location: shadowed.by_value.location.clone(),
        });
        let reserved = routes.iter().filter(|(route, _)| route.is_reserved());
        let reserved = reserved.map(|(route, trigger)| RouteWarning::Reserved {
            location: trigger.location.clone(),
            route: route.clone(),
        });
        let warnings = shadowed.chain(reserved).collect();
        (routes, warnings)
    }

    /// Returns the variables that the templates of the components use.
    pub fn required_variables(&self) -> BTreeSet<&'m VariableName> {
        let components = self.components.values();
        components
            .flat_map(|component| component.required_variables())
            .collect()
    }

    /// Resolves the variables and allowed hosts of each component.
    ///
    /// `lookup` returns the value of an environment variable: that of the process, or that in `.env`.
    ///
    /// # Errors
    ///
    /// One error for all required variables without a value; otherwise the first allowed host that is
    /// invalid with the values of its variables.
    pub fn resolve(
        &self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<&'m ComponentId, Resolved>, ResolveError> {
        let values = self
            .manifest
            .variables
            .resolve(self.required_variables(), lookup)?;
        let running = self.components.keys().copied();
        self.components
            .iter()
            .map(|(id, component)| {
                let unresolved = |error| component.location.clone().error(error);
                let resolved = Resolved {
                    variables: component.variables(&values).map_err(unresolved)?,
                    allowed_hosts: component.allowed_hosts(&values, running.clone())?,
                };
                Ok((*id, resolved))
            })
            .collect()
    }

    fn check_calls(&self, mode: &str) -> Result<(), SelectError> {
        for (caller, component) in &self.components {
            for host in &component.allowed_outbound_hosts {
                if host.template.is_literal()
                    && let Ok(allowed) = host.template.to_string().parse::<AllowedHost>()
                    && let Some(called) = allowed.component()
                    && !self.components.keys().any(|id| id.as_str() == called)
                {
                    return Err(SelectError::CallsOutside {
                        location: host.location.clone(),
                        caller: (*caller).clone(),
                        called: called.to_owned(),
                        mode: mode.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for RouteWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shadowed {
                location,
                route,
                trigger,
                by,
                by_location,
            } => write!(
                f,
                "{location}: the route {route} of `{trigger}` never matches: `{by}` serves the same \
                 paths ({by_location})"
            ),
            Self::Reserved { location, route } => write!(
                f,
                "{location}: the route {route} never matches: the host serves paths under \
                 /.well-known/spin/ itself"
            ),
        }
    }
}
