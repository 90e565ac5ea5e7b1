//! A routing table, which finds the route of a path.
//!
//! If several routes match a path, the first segment in which they differ decides: a literal takes
//! precedence over a parameter, and a parameter over a wildcard. So exact routes beat `:parameter`,
//! which beats wildcards, and the longest prefix wins.
//!
//! The table is a tree of segments. A look-up visits each segment once for every combination of
//! literal and parameter that the routes have in common (in practice once), and allocates nothing.

use std::{borrow::Cow, collections::HashMap};

use crate::route::{Route, Segment};

/// A table that maps routes to values.
#[derive(Clone, Debug)]
pub struct Routes<T> {
    entries: Vec<(Route, T)>,
    root: Node,
}

/// The result of a look-up in [`Routes`].
#[derive(Debug)]
pub struct RouteMatch<'r, T> {
    route: &'r Route,
    value: &'r T,
    path: &'r str,
}

/// A route that never matches, because another route matches the same paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadowed<T> {
    /// The shadowed route.
    pub route: Route,
    /// Value of the shadowed route.
    pub value: T,
    /// The route that matches in its place.
    pub by: Route,
    /// Value of that route.
    pub by_value: T,
}

/// A node of the tree: the routes that begin with the same segments.
#[derive(Clone, Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    /// Index of the route that ends here.
    end: Option<usize>,
    /// Index of the route that has its wildcard here.
    wildcard: Option<usize>,
}

impl<T: Clone> Routes<T> {
    /// Creates a table, and returns with it the routes that never match.
    ///
    /// As in Spin, the last of several identical routes wins. Of routes that differ and match the same
    /// paths (`/a` and `/a/`, `/:x` and `/:y`), the first wins.
    pub fn build(routes: impl IntoIterator<Item = (Route, T)>) -> (Self, Vec<Shadowed<T>>) {
        let mut table = Self {
            entries: Vec::new(),
            root: Node::default(),
        };
        let mut shadowed = Vec::new();
        for (route, value) in routes {
            let next = table.entries.len();
            let index = *table.root.slot(&route).get_or_insert(next);
            let Some((found, found_value)) = table.entries.get_mut(index) else {
                table.entries.push((route, value));
                continue;
            };
            let (mut other, mut other_value) = (route, value);
            if found.as_str() == other.as_str() {
                std::mem::swap(found, &mut other);
                std::mem::swap(found_value, &mut other_value);
            }
            shadowed.push(Shadowed {
                route: other,
                value: other_value,
                by: found.clone(),
                by_value: found_value.clone(),
            });
        }
        (table, shadowed)
    }
}

impl<T> Routes<T> {
    /// Finds the route of a URL's path, which is percent-encoded and has no query.
    pub fn find<'r>(&'r self, path: &'r str) -> Option<RouteMatch<'r, T>> {
        let trimmed = path.trim_matches('/');
        let index = self.root.find((!trimmed.is_empty()).then_some(trimmed))?;
        let (route, value) = self.entries.get(index)?;
        Some(RouteMatch { route, value, path })
    }

    /// Converts the values of the table.
    ///
    /// # Errors
    /// The first error of `convert`.
    pub fn try_map<U, E>(self, convert: impl Fn(T) -> Result<U, E>) -> Result<Routes<U>, E> {
        let entries = self.entries.into_iter();
        Ok(Routes {
            entries: entries
                .map(|(route, value)| Ok((route, convert(value)?)))
                .collect::<Result<_, E>>()?,
            root: self.root,
        })
    }

    /// Iterates over the routes that can match, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&Route, &T)> {
        self.entries.iter().map(|(route, value)| (route, value))
    }
}

impl<'r, T> RouteMatch<'r, T> {
    /// Returns the match of a request that another component sends to `<id>.spin.internal`. Such a
    /// request has no route of the manifest; the component sees the route `/...`.
    pub fn chained(value: &'r T, path: &'r str) -> Self {
        Self {
            route: Route::catch_all(),
            value,
            path,
        }
    }

    /// Returns the matched route.
    pub fn route(&self) -> &'r Route {
        self.route
    }

    /// Returns the value of the matched route.
    pub fn value(&self) -> &'r T {
        self.value
    }

    /// Returns the name and capture of each parameter, in the order of the route. Captures are not
    /// decoded.
    pub fn captures(&self) -> impl Iterator<Item = (&'r str, &'r str)> {
        self.route.captures(self.path)
    }

    /// Returns the capture of the wildcard with the slashes before and after it; empty without a
    /// wildcard.
    pub fn path_info(&self) -> Cow<'r, str> {
        let rest = self.route.rest(self.path);
        match (rest, self.path.ends_with('/')) {
            _ if !self.route.is_wildcard() => "".into(),
            ("", false) => "".into(),
            ("", true) => "/".into(),
            (rest, false) => format!("/{rest}").into(),
            (rest, true) => format!("/{rest}/").into(),
        }
    }
}

impl Node {
    /// Returns the slot of a route and creates its nodes.
    fn slot(&mut self, route: &Route) -> &mut Option<usize> {
        let mut node = self;
        for segment in route.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        if route.is_wildcard() {
            &mut node.wildcard
        } else {
            &mut node.end
        }
    }

    /// Finds the index of the route of the rest of a path; `None` is the end of the path.
    fn find(&self, path: Option<&str>) -> Option<usize> {
        let Some(path) = path else {
            return self.end.or(self.wildcard);
        };
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        let literal = || self.literals.get(segment)?.find(rest);
        let parameter = || self.parameter.as_ref()?.find(rest);
        literal().or_else(parameter).or(self.wildcard)
    }
}

#[cfg(test)]
mod tests;
