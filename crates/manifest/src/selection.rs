//! Which part of an application runs here: the mode.
//!
//! A component lists its modes in `tool.tirage.modes`; `all` runs every component. What a mode
//! leaves out is not asked for: no variable that only other components use has to be set.
//! A static response belongs to every mode.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    component::Component,
    error::{Error, Location, near_miss},
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

/// What the environment makes of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The values of its variables.
    pub variables: BTreeMap<VariableName, Value>,
    /// The hosts that it may reach.
    pub allowed_hosts: AllowedHosts,
}

/// Why a mode cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// No component has the mode.
    #[error(
        "there is no mode `{mode}`{}; the modes are {}",
        suggestion.as_ref().map(|s| format!(" (did you mean `{s}`?)")).unwrap_or_default(),
        known.join(", ")
    )]
    UnknownMode {
        /// The mode that was asked for.
        mode: String,
        /// The modes that there are.
        known: Vec<String>,
        /// The one that is closest.
        suggestion: Option<String>,
    },
    /// A component of the mode calls one that is not of it.
    #[error(
        "{location}: component `{caller}` calls `{called}`, which does not run in mode `{mode}`"
    )]
    CallsOutside {
        /// Where the manifest allows the call.
        location: Location,
        /// The component that calls.
        caller: ComponentId,
        /// The component that does not run.
        called: String,
        /// The mode.
        mode: String,
    },
}

/// Why the components of a mode cannot be given what they need.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Required variables are not set: all of them.
    #[error(transparent)]
    Missing(#[from] MissingVariables),
    /// With the values that variables have, an allowed host is none.
    #[error(transparent)]
    Invalid(#[from] Error),
}

/// Something about the routes that is probably a mistake. Spin logs it, and goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteWarning {
    /// The route is never found, because another trigger's answers the same paths.
    Shadowed {
        /// Where the route is written.
        location: Location,
        /// The route that is never found.
        route: Route,
        /// The trigger whose route it is.
        trigger: String,
        /// The trigger that is found in its place.
        by: String,
        /// Where the route of that trigger is written.
        by_location: Location,
    },
    /// The route is never found, because the host answers it.
    Reserved {
        /// Where the route is written.
        location: Location,
        /// The route.
        route: Route,
    },
}

impl Manifest {
    /// The components and triggers of a mode; `all` is everything.
    ///
    /// # Errors
    ///
    /// No component has the mode, or one that has it names in `allowed_outbound_hosts` (other
    /// than by a template or a `*`) a component that has not.
    pub fn select(&self, mode: &str) -> Result<Selection<'_>, SelectError> {
        let modes = self.components.values().flat_map(|c| &c.options.modes);
        if mode != ALL && !modes.clone().any(|known| known.as_str() == mode) {
            let mut known: Vec<_> = modes.map(Mode::to_string).chain([ALL.to_owned()]).collect();
            known.sort();
            known.dedup();
            return Err(SelectError::UnknownMode {
                mode: mode.to_owned(),
                suggestion: near_miss(mode, known.iter().map(String::as_str)),
                known,
            });
        }
        let runs = |component: &Component| mode == ALL || component.options.modes.contains(mode);
        let components: BTreeMap<_, _> = self
            .components
            .iter()
            .filter(|(_, component)| runs(component))
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
    /// The components that run, in the order of their ids.
    pub fn components(&self) -> &BTreeMap<&'m ComponentId, &'m Component> {
        &self.components
    }

    /// The triggers that lead to them or have static responses, in the manifest's order.
    pub fn triggers(&self) -> &[&'m HttpTrigger] {
        &self.triggers
    }

    /// The table of routes and what is strange about it. Private triggers are not in it.
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

    /// The variables that the components need.
    pub fn needs(&self) -> BTreeSet<&'m VariableName> {
        let components = self.components.values();
        components.flat_map(|component| component.needs()).collect()
    }

    /// What the environment makes of each component.
    ///
    /// `lookup` is called with names of environment variables; it is to look into the process
    /// environment, then into `.env`.
    ///
    /// # Errors
    ///
    /// One error for all required variables that have no value; else the first allowed host that
    /// is none with the values that variables have.
    pub fn resolve(
        &self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<&'m ComponentId, Resolved>, ResolveError> {
        let values = self.manifest.variables.resolve(self.needs(), lookup)?;
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
                "{location}: the route {route} of `{trigger}` is never found: `{by}` answers its \
                 paths ({by_location})"
            ),
            Self::Reserved { location, route } => write!(
                f,
                "{location}: the route {route} is never found: the host answers what is under \
                 /.well-known/spin/ itself"
            ),
        }
    }
}
