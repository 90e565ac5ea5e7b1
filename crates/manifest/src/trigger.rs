//! HTTP triggers: routes, and the component or static response that serves each.

use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    component::Component,
    document::{Item, Keys},
    error::{Error, Location, Problem},
    id::ComponentId,
    route::Route,
    variables::Variables,
};

/// `[[trigger.http]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpTrigger {
    /// The id in the manifest, or the one that Spin generates: `<component>-http-trigger` or
    /// `http-trigger<n>`.
    pub id: String,
    /// The paths that the trigger serves.
    pub route: TriggerRoute,
    /// The component or the response that serves them.
    pub target: Target,
    /// Location of the route.
    #[serde(skip)]
    pub location: Location,
}

/// The `route` of a trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerRoute {
    /// A route for requests of clients.
    Public(Route),
    /// `{ private = true }`: reachable only by other components, through the component's id.
    Private,
}

/// The component or the response that serves a trigger's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A component.
    Component(ComponentId),
    /// A fixed response, which the host sends.
    StaticResponse(StaticResponse),
}

/// `static_response`: a response that needs no component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StaticResponse {
    /// Status from 200 to 599. Default 200.
    #[serde(serialize_with = "status_code")]
    pub status: StatusCode,
    /// Headers in the order of the manifest.
    #[serde(serialize_with = "header_map")]
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body. Default empty.
    pub body: String,
}

/// A trigger as parsed, before [`normalize`](crate::normalize) resolves ids and inline components.
pub(crate) struct ParsedTrigger {
    pub(crate) id: Option<(String, Location)>,
    pub(crate) route: TriggerRoute,
    pub(crate) target: ParsedTarget,
    pub(crate) location: Location,
}

/// The target of a trigger as parsed.
pub(crate) enum ParsedTarget {
    Reference(ComponentId, Location),
    Inline(Box<Component>),
    StaticResponse(StaticResponse),
}

impl ParsedTrigger {
    pub(crate) fn read(item: Item<'_>, variables: &Variables) -> Result<Self, Error> {
        const MIDDLEWARE: &str = "compose the component with its middleware at build time";
        const KEYS: Keys = Keys {
            known: &["id", "route", "component", "static_response", "executor"],
            unsupported: &[("components", MIDDLEWARE), ("dependencies", MIDDLEWARE)],
        };
        let mut table = item.table(&KEYS)?;
        let route = table.require("route")?;
        let target = match (table.take("component"), table.take("static_response")) {
            (Some(component), None) => ParsedTarget::read(component, variables)?,
            (None, Some(response)) => ParsedTarget::StaticResponse(StaticResponse::read(response)?),
            _ => return Err(table.error(Problem::ComponentOrStaticResponse)),
        };
        if let Some(executor) = table.take("executor") {
            check_executor(executor)?;
        }
        Ok(Self {
            id: match table.take("id") {
                Some(id) => Some((id.string()?.to_owned(), id.location())),
                None => None,
            }
            .filter(|(id, _)| !id.is_empty()),
            location: route.location(),
            route: TriggerRoute::read(route)?,
            target,
        })
    }
}

impl ParsedTarget {
    fn read(item: Item<'_>, variables: &Variables) -> Result<Self, Error> {
        if item.is_string() {
            Ok(Self::Reference(item.parse()?, item.location()))
        } else if item.is_table() {
            Ok(Self::Inline(Box::new(Component::read(item, variables)?)))
        } else {
            Err(item.wrong_type("a component id or a table"))
        }
    }
}

impl TriggerRoute {
    fn read(item: Item<'_>) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &["private"],
            unsupported: &[],
        };
        if item.is_string() {
            return Ok(Self::Public(item.parse()?));
        }
        if !item.is_table() {
            return Err(item.wrong_type("a path or { private = true }"));
        }
        let mut table = item.table(&KEYS)?;
        let private = table.require("private")?;
        if private.boolean()? {
            Ok(Self::Private)
        } else {
            Err(private.error(Problem::NotPrivate))
        }
    }
}

impl StaticResponse {
    fn read(item: Item<'_>) -> Result<Self, Error> {
        const KEYS: Keys = Keys {
            known: &["status_code", "headers", "body"],
            unsupported: &[],
        };
        let mut table = item.table(&KEYS)?;
        let headers = table.entries("headers")?;
        Ok(Self {
            status: table
                .take("status_code")
                .map_or(Ok(StatusCode::OK), |item| status(&item))?,
            headers: headers
                .iter()
                .map(|(name, value)| header(name, value))
                .collect::<Result<_, _>>()?,
            body: table.text("body")?.unwrap_or_default(),
        })
    }
}

fn status(item: &Item<'_>) -> Result<StatusCode, Error> {
    let code: std::num::NonZeroU16 = item.positive(999)?;
    StatusCode::from_u16(code.get())
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| item.invalid(code.to_string(), "expected a status from 200 to 599"))
}

fn header(name: &Item<'_>, value: &Item<'_>) -> Result<(HeaderName, HeaderValue), Error> {
    let text = name.string()?;
    let header_name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| name.invalid(text, "not a valid header name"))?;
    let text = value.string()?;
    let header_value = HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| value.invalid(text, "not a valid header value"))?;
    Ok((header_name, header_value))
}

fn check_executor(item: Item<'_>) -> Result<(), Error> {
    const WAGI: &str = "build a component that exports wasi:http/handler";
    const KEYS: Keys = Keys {
        known: &["type"],
        unsupported: &[("argv", WAGI), ("entrypoint", WAGI)],
    };
    let kind = item.table(&KEYS)?.require("type")?;
    if kind.string()? == "wagi" {
        return Err(kind.error(Problem::Unsupported {
            what: "executor = { type = \"wagi\" }".to_owned(),
            instead: WAGI,
        }));
    }
    // Spin 1 called the executor "spin"; Spin 4 still accepts that.
    kind.choice(&["http", "spin"], &[(), ()])
}

fn status_code<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

fn header_map<S: Serializer>(
    headers: &[(HeaderName, HeaderValue)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(headers.len()))?;
    for (name, value) in headers {
        map.serialize_entry(name.as_str(), &String::from_utf8_lossy(value.as_bytes()))?;
    }
    map.end()
}
