//! Names for what a manifest leaves unnamed: triggers without id, and components that a trigger
//! defines in its own table. The names are those that Spin makes
//! (`crates/manifest/src/normalize.rs`), so that logs of both hosts can be compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    component::Component,
    error::{Error, Problem, near_miss},
    id::ComponentId,
    trigger::{HttpTrigger, Target, WrittenTarget, WrittenTrigger},
};

/// Gives every trigger an id and every inline component a place in `components`, and checks that
/// the components which triggers name are there.
pub(crate) fn settle(
    triggers: Vec<WrittenTrigger>,
    components: &mut BTreeMap<ComponentId, Component>,
) -> Result<Vec<HttpTrigger>, Error> {
    for trigger in &triggers {
        if let WrittenTarget::Reference(id, location) = &trigger.target
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
                WrittenTarget::Reference(component, _) => Target::Component(component),
                WrittenTarget::StaticResponse(response) => Target::StaticResponse(response),
                WrittenTarget::Inline(component) => {
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

/// The problem of an id that names no component.
pub(crate) fn unknown_component(
    id: &str,
    components: &BTreeMap<ComponentId, Component>,
) -> Problem {
    Problem::UnknownComponent {
        id: id.to_owned(),
        suggestion: near_miss(id, components.keys().map(ComponentId::as_str)),
    }
}

/// The id of each trigger: its own, else `<component>-http-trigger`, else `http-trigger<n>`.
fn trigger_ids(triggers: &[WrittenTrigger]) -> Result<Vec<String>, Error> {
    let mut taken = BTreeSet::new();
    for (id, location) in triggers.iter().filter_map(|trigger| trigger.id.as_ref()) {
        if !taken.insert(id.clone()) {
            return Err(location
                .clone()
                .error(Problem::DuplicateTriggerId(id.clone())));
        }
    }
    let mut name = |trigger: &WrittenTrigger| {
        if let Some((id, _)) = &trigger.id {
            return id.clone();
        }
        if let WrittenTarget::Reference(component, _) = &trigger.target {
            let natural = format!("{component}-http-trigger");
            if taken.insert(natural.clone()) {
                return natural;
            }
        }
        first_free("http-trigger", |id| taken.insert(id.clone()).then_some(id))
    };
    Ok(triggers.iter().map(&mut name).collect())
}

/// The id of a trigger's own component: `<trigger>-component`, else `inline-component<n>`.
fn inline_component_id(
    trigger: &str,
    components: &BTreeMap<ComponentId, Component>,
) -> ComponentId {
    let free = |id: String| id.parse().ok().filter(|id| !components.contains_key(id));
    free(format!("{trigger}-component")).unwrap_or_else(|| first_free("inline-component", free))
}

/// The first of `<stem>1`, `<stem>2`, … that `free` takes.
fn first_free<T>(stem: &str, mut free: impl FnMut(String) -> Option<T>) -> T {
    let mut number = 1_u64;
    loop {
        if let Some(id) = free(format!("{stem}{number}")) {
            return id;
        }
        number += 1;
    }
}
