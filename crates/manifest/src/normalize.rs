//! Generates ids for triggers without one and for components that a trigger defines inline.
//!
//! The ids are those that Spin generates (its `crates/manifest/src/normalize.rs`), so that logs of
//! both hosts can be compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    component::Component,
    error::{Error, Problem, suggest},
    id::ComponentId,
    trigger::{HttpTrigger, ParsedTarget, ParsedTrigger, Target},
};

/// Gives every trigger an id, moves inline components into `components`, and checks that the
/// components that triggers name are defined.
pub(crate) fn normalize(
    triggers: Vec<ParsedTrigger>,
    components: &mut BTreeMap<ComponentId, Component>,
) -> Result<Vec<HttpTrigger>, Error> {
    for trigger in &triggers {
        if let ParsedTarget::Reference(id, location) = &trigger.target
            && !components.contains_key(id)
        {
            let problem = unknown_component(id.as_str(), components);
            return Err(location.clone().error(problem));
        }
    }
    let ids = trigger_ids(&triggers)?;
    let named = ids
        .into_iter()
        .zip(triggers)
        .map(|(id, trigger)| HttpTrigger {
            target: match trigger.target {
                ParsedTarget::Reference(component, _) => Target::Component(component),
                ParsedTarget::StaticResponse(response) => Target::StaticResponse(response),
                ParsedTarget::Inline(component) => {
                    let component_id = inline_component_id(&id, components);
                    components.insert(component_id.clone(), *component);
                    Target::Component(component_id)
                }
            },
            id,
            route: trigger.route,
            location: trigger.location,
        });
    Ok(named.collect())
}

/// Returns the problem of an id that no component has.
pub(crate) fn unknown_component(
    id: &str,
    components: &BTreeMap<ComponentId, Component>,
) -> Problem {
    Problem::UnknownComponent {
        id: id.to_owned(),
        suggestion: suggest(id, components.keys().map(ComponentId::as_str)),
    }
}

/// Returns the id of each trigger: its own, or `<component>-http-trigger`, or `http-trigger<n>`.
fn trigger_ids(triggers: &[ParsedTrigger]) -> Result<Vec<String>, Error> {
    let mut taken = BTreeSet::new();
    for (id, location) in triggers.iter().filter_map(|trigger| trigger.id.as_ref()) {
        if !taken.insert(id.clone()) {
            return Err(location
                .clone()
                .error(Problem::DuplicateTriggerId(id.clone())));
        }
    }
    let mut name = |trigger: &ParsedTrigger| {
        if let Some((id, _)) = &trigger.id {
            return id.clone();
        }
        if let ParsedTarget::Reference(component, _) = &trigger.target {
            let id = format!("{component}-http-trigger");
            if taken.insert(id.clone()) {
                return id;
            }
        }
        first_free("http-trigger", |id| taken.insert(id.clone()).then_some(id))
    };
    Ok(triggers.iter().map(&mut name).collect())
}

/// Returns the id of an inline component: `<trigger>-component`, or `inline-component<n>`.
fn inline_component_id(
    trigger: &str,
    components: &BTreeMap<ComponentId, Component>,
) -> ComponentId {
    let free = |id: String| id.parse().ok().filter(|id| !components.contains_key(id));
    free(format!("{trigger}-component")).unwrap_or_else(|| first_free("inline-component", free))
}

/// Returns the first of `<stem>1`, `<stem>2`, … that `claim` accepts.
fn first_free<T>(stem: &str, mut claim: impl FnMut(String) -> Option<T>) -> T {
    let mut number = 1_u64;
    loop {
        if let Some(id) = claim(format!("{stem}{number}")) {
            return id;
        }
        number += 1;
    }
}
