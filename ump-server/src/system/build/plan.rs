//! The order in which components start: each after the components that it needs, otherwise in the
//! order of definition.
//!
//! This is the topological sort of Kahn (1962). Among the components that are ready, the one that
//! was defined first is the next.

use std::sync::Arc;

use crate::system::{
    build::definition::{Definition, Kind},
    model::attributes::Attributes,
    model::group::Group,
    report::error::PlanError,
};

/// Checks the definitions and the groups, and returns the order of start, as indices of
/// definitions.
pub(in crate::system) fn plan(
    definitions: &[Definition],
    groups: &[Group],
) -> Result<Box<[usize]>, PlanError> {
    for (number, definition) in definitions.iter().enumerate() {
        check_name(definition, &definitions[..number])?;
        check(definition)?;
    }
    check_groups(definitions, groups)?;
    order(definitions)
}

fn check_name(definition: &Definition, earlier: &[Definition]) -> Result<(), PlanError> {
    let name = definition.name.to_string();
    if name.is_empty() || name.contains('\0') {
        return Err(PlanError::Name { name });
    }
    if earlier.iter().any(|other| other.name == definition.name) {
        return Err(PlanError::Twice { name });
    }
    Ok(())
}

fn check(definition: &Definition) -> Result<(), PlanError> {
    let refuse = |key, why| {
        Err(PlanError::Attribute {
            component: definition.name.to_string(),
            key,
            why,
        })
    };
    let Attributes {
        instances,
        workers,
        capacity,
        ref affinity,
        ..
    } = definition.attributes;
    let counts = [
        ("instances", instances),
        ("workers", workers),
        ("capacity", capacity),
    ];
    for (key, count) in counts {
        if count == Some(0) {
            return refuse(key, "it must be at least 1");
        }
    }
    if affinity.as_ref().is_some_and(Vec::is_empty) {
        return refuse("affinity", "it must name at least one CPU");
    }
    match definition.kind {
        Kind::Thread if definition.attributes.budget.is_some() => {
            refuse("budget", "only tasks have it, because they share a runtime")
        }
        #[cfg(feature = "tokio")]
        Kind::Thread => match of_tasks(&definition.attributes) {
            Some(key) => refuse(
                key,
                "only tasks have it, because a call on a thread cannot be interrupted",
            ),
            None => Ok(()),
        },
        #[cfg(not(feature = "tokio"))]
        Kind::Thread => Ok(()),
        #[cfg(feature = "tokio")]
        Kind::Task => match of_threads(&definition.attributes) {
            Some(key) => refuse(
                key,
                "only threads have it, because a task has no thread of its own",
            ),
            None => Ok(()),
        },
    }
}

/// Returns the key of an attribute that is set although only tasks can have it.
#[cfg(feature = "tokio")]
fn of_tasks(attributes: &Attributes) -> Option<&'static str> {
    let keys = [
        ("request_timeout", attributes.request_timeout.is_some()),
        ("on_timeout", attributes.on_timeout.is_some()),
    ];
    keys.iter()
        .find(|(_, is_said)| *is_said)
        .map(|(key, _)| *key)
}

/// Returns the key of an attribute that is set although only threads can have it.
#[cfg(feature = "tokio")]
fn of_threads(attributes: &Attributes) -> Option<&'static str> {
    let keys = [
        ("stack_size", attributes.stack_size.is_some()),
        ("priority", attributes.priority.is_some()),
        ("affinity", attributes.affinity.is_some()),
    ];
    keys.iter()
        .find(|(_, is_said)| *is_said)
        .map(|(key, _)| *key)
}

fn check_groups(definitions: &[Definition], groups: &[Group]) -> Result<(), PlanError> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    for group in groups {
        for member in &group.members {
            if position(definitions, member).is_none() {
                return Err(PlanError::Member {
                    group: group.name.clone(),
                    member: member.clone(),
                    known: names(definitions),
                });
            }
            if let Some((_, first)) = members.iter().find(|(known, _)| known == member) {
                return Err(PlanError::TwoGroups {
                    component: member.clone(),
                    groups: [(*first).to_owned(), group.name.clone()],
                });
            }
            members.push((member, &group.name));
        }
    }
    Ok(())
}

fn order(definitions: &[Definition]) -> Result<Box<[usize]>, PlanError> {
    let needs = definitions
        .iter()
        .map(|definition| needs(definition, definitions))
        .collect::<Result<Vec<_>, _>>()?;
    let mut is_placed = vec![false; definitions.len()];
    let mut order = Vec::with_capacity(definitions.len());
    while order.len() < definitions.len() {
        let is_ready = |&number: &usize| {
            !is_placed[number] && needs[number].iter().all(|&other| is_placed[other])
        };
        let Some(next) = (0..definitions.len()).find(is_ready) else {
            return Err(cycle(definitions, &needs, &is_placed));
        };
        is_placed[next] = true;
        order.push(next);
    }
    Ok(order.into())
}

/// Returns the indices of the components that a component needs.
fn needs(definition: &Definition, all: &[Definition]) -> Result<Vec<usize>, PlanError> {
    let number = |need: &String| {
        position(all, need).ok_or_else(|| PlanError::Unknown {
            component: definition.name.to_string(),
            needs: need.clone(),
            known: names(all),
        })
    };
    definition.attributes.needs.iter().map(number).collect()
}

/// Returns the error for components that need each other in a cycle.
///
/// Each component that cannot be placed needs another one that cannot be placed. So a path that
/// follows these needs returns to a component that it has visited.
fn cycle(definitions: &[Definition], needs: &[Vec<usize>], is_placed: &[bool]) -> PlanError {
    let mut path = Vec::new();
    let mut at = is_placed.iter().position(|placed| !placed);
    while let Some(number) = at.filter(|number| !path.contains(number)) {
        path.push(number);
        at = needs[number]
            .iter()
            .copied()
            .find(|&other| !is_placed[other]);
    }
    let start = path.iter().position(|&number| Some(number) == at);
    let names = path[start.unwrap_or(0)..]
        .iter()
        .chain(&at)
        .map(|&number| definitions[number].name.to_string())
        .collect();
    PlanError::Cycle { names }
}

fn position(definitions: &[Definition], name: &str) -> Option<usize> {
    definitions
        .iter()
        .position(|definition| *definition.name == *name)
}

fn names(definitions: &[Definition]) -> Vec<String> {
    let name = |definition: &Definition| Arc::clone(&definition.name).to_string();
    definitions.iter().map(name).collect()
}
