//! Finding the route of a path.
//!
//! Where several routes answer a path, the one wins that is more precise at the first segment in
//! which they differ: a literal before a parameter, a parameter before the end of the path under
//! a wildcard. So exact beats `:parameter` beats wildcard, and the longest prefix wins.
//!
//! The table is a tree of segments. Finding a path looks at each segment once for every
//! combination of literal and parameter that the routes have in common (in practice: once), and
//! allocates nothing, whether it finds a route or not.

use std::{borrow::Cow, collections::HashMap};

use crate::route::{Route, Segment};

/// A table from routes to values.
#[derive(Clone, Debug)]
pub struct Routes<T> {
    entries: Vec<(Route, T)>,
    root: Node,
}

/// A path that was found in [`Routes`].
#[derive(Debug)]
pub struct RouteMatch<'r, T> {
    route: &'r Route,
    value: &'r T,
    path: &'r str,
}

/// A route that will never be found, because another answers the same paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadowed<T> {
    /// The route that is not found.
    pub route: Route,
    /// Its value.
    pub value: T,
    /// The route that is found in its place.
    pub by: Route,
    /// The value of that route.
    pub by_value: T,
}

/// What follows the segments that lead here.
#[derive(Clone, Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    /// The entry of the route that ends here.
    end: Option<usize>,
    /// The entry of the route that has its wildcard here.
    wildcard: Option<usize>,
}

impl<T: Clone> Routes<T> {
    /// Makes a table of these routes, and tells which of them will never be found.
    ///
    /// As in Spin, of routes written alike the last is found; of routes that are written
    /// differently and answer the same paths (`/a` and `/a/`, `/:x` and `/:y`), the first is.
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
            let (mut loser, mut loser_value) = (route, value);
            if found.as_str() == loser.as_str() {
                std::mem::swap(found, &mut loser);
                std::mem::swap(found_value, &mut loser_value);
            }
            shadowed.push(Shadowed {
                route: loser,
                value: loser_value,
                by: found.clone(),
                by_value: found_value.clone(),
            });
        }
        (table, shadowed)
    }
}

impl<T> Routes<T> {
    /// Finds the route of a path: that of a URL, without the query, still percent-encoded.
    pub fn find<'r>(&'r self, path: &'r str) -> Option<RouteMatch<'r, T>> {
        let trimmed = path.trim_matches('/');
        let index = self.root.find((!trimmed.is_empty()).then_some(trimmed))?;
        let (route, value) = self.entries.get(index)?;
        Some(RouteMatch { route, value, path })
    }

    /// The same table with other values.
    ///
    /// # Errors
    /// The first of `value`'s.
    pub fn try_map<U, E>(self, value: impl Fn(T) -> Result<U, E>) -> Result<Routes<U>, E> {
        let entries = self.entries.into_iter();
        Ok(Routes {
            entries: entries
                .map(|(route, old)| Ok((route, value(old)?)))
                .collect::<Result<_, E>>()?,
            root: self.root,
        })
    }

    /// The routes that can be found, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&Route, &T)> {
        self.entries.iter().map(|(route, value)| (route, value))
    }
}

impl<'r, T> RouteMatch<'r, T> {
    /// The match of a request that another component sends to this one by its id: no route of the
    /// manifest is asked, and the component sees the route `/...`.
    pub fn chained(value: &'r T, path: &'r str) -> Self {
        Self {
            route: Route::everything(),
            value,
            path,
        }
    }

    /// The route that answers the path.
    pub fn route(&self) -> &'r Route {
        self.route
    }

    /// What the table has for that route.
    pub fn value(&self) -> &'r T {
        self.value
    }

    /// What each parameter captured, in the order of the route; not decoded.
    pub fn captures(&self) -> impl Iterator<Item = (&'r str, &'r str)> {
        self.route.captures(self.path)
    }

    /// What the wildcard captured, with the slash before it and the one after it; empty without
    /// a wildcard.
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
    /// The place for a route, made if there is none.
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

    /// Finds the entry of a path; `None` is its end.
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
