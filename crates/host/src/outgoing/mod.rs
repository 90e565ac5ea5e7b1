//! Where a guest's outgoing requests go: to another component, to the application itself, to a
//! service of the router's own, or out to the network. Everything that the manifest does not allow is
//! refused, logged with the component's name, and answered to the guest as an error that says it was
//! policy.
//!
//! Calls in process never hold a whole body: both sides stream into each other. They can't go round
//! in circles for ever: each counts how many calls it stands on ([`caller`]).

mod address;
mod caller;
mod connector;
mod destination;
mod internet;
mod response_body;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Weak};

use http::HeaderName;
use tirage_manifest::{
    AllowedHosts, OutgoingLimits, RouteMatch, chained_component, strip_spin_headers,
};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

use crate::component::Component;
use crate::metrics::ComponentMetrics;
use crate::{CallError, Request, Response};
pub(crate) use caller::{AttributedClient, Callers, Depth};
use destination::Destination;
use internet::Internet;

/// A service of the router's own that components call by a host name, without a socket.
pub trait InternalService: Send + Sync {
    /// Answers one request. `caller` is the id of the component that sent it, as the manifest has
    /// it: the guest cannot choose it.
    fn call(
        &self,
        caller: &str,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Response> + Send>>;
}

/// The client's address in a call between components, as Spin gives it.
const NO_CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What can be called in process.
#[derive(Default)]
pub(crate) struct Network {
    pub(crate) components: HashMap<Arc<str>, Component>,
    pub(crate) services: HashMap<String, Arc<dyn InternalService>>,
    /// What answers a component that calls its own application.
    pub(crate) itself: Option<Arc<dyn InternalService>>,
}

/// One component's way out, as one of its instances has it.
#[derive(Clone)]
pub(crate) struct Outgoing {
    policy: Arc<Policy>,
    pub(crate) callers: Callers,
}

struct Policy {
    component: Arc<str>,
    allowed: AllowedHosts,
    network: Weak<Network>,
    internet: Internet,
    forbidden_headers: ForbiddenHeaderFilter,
    metrics: ComponentMetrics,
}

impl Outgoing {
    pub(crate) fn new(
        component: Arc<str>,
        allowed: AllowedHosts,
        limits: OutgoingLimits,
        network: Weak<Network>,
        metrics: ComponentMetrics,
    ) -> Self {
        let policy = Policy {
            component,
            internet: Internet::new(allowed.clone(), limits),
            allowed,
            network,
            forbidden_headers: Arc::new(|name| FORBIDDEN_HEADERS.contains(name)),
            metrics,
        };
        Self {
            policy: Arc::new(policy),
            callers: Callers::default(),
        }
    }
}

type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

/// The same names as wasmtime's own, made once and not for each header of each request.
static FORBIDDEN_HEADERS: [HeaderName; 9] = DEFAULT_FORBIDDEN_HEADERS;

impl WasiHttpHooks for Outgoing {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::clone(&self.policy.forbidden_headers)
    }

    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        FORBIDDEN_HEADERS.contains(name)
    }

    fn send_request(
        &mut self,
        request: Request,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let policy = Arc::clone(&self.policy);
        let depth = self.callers.depth_of_next();
        Box::new(async move {
            let options = options.unwrap_or_default();
            let response = policy.send(request, options, depth).await?;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

/// Where an allowed request goes.
enum Way<'a> {
    /// To a component of this name, in process.
    Component(&'a str),
    /// To something of the router's, in process.
    Service(Arc<dyn InternalService>),
    /// Out.
    Internet,
}

impl Policy {
    async fn send(
        &self,
        mut request: Request,
        options: RequestOptions,
        depth: Depth,
    ) -> Result<Response, Error> {
        let sent = match Destination::of(request.uri()) {
            Ok(destination) => {
                let sent = self.send_to(&destination, request, options, depth).await;
                sent.map_err(|error| (error, destination.to_string()))
            }
            Err(error) => {
                let uri = std::mem::take(request.uri_mut());
                Err((error, uri.authority().map_or("", |a| a.host()).to_owned()))
            }
        };
        sent.map_err(|(error, host)| {
            self.report(&host, &error);
            error
        })
    }

    async fn send_to(
        &self,
        destination: &Destination,
        mut request: Request,
        options: RequestOptions,
        depth: Depth,
    ) -> Result<Response, Error> {
        destination.apply(&mut request)?;
        let network = self.network.upgrade().ok_or(Error::ConnectionTerminated)?;
        match self.way(&network, destination)? {
            Way::Internet => {
                drop(network);
                self.internet.send(request, options).await
            }
            Way::Component(name) => {
                request.extensions_mut().insert(depth.checked()?);
                call_component(&network, name, request).await
            }
            Way::Service(service) => {
                request.extensions_mut().insert(depth.checked()?);
                drop(network);
                Ok(service.call(&self.component, request).await)
            }
        }
    }

    fn way<'a>(&self, network: &Network, destination: &'a Destination) -> Result<Way<'a>, Error> {
        if destination.is_itself() {
            return match (&network.itself, self.allowed.allows_self()) {
                (_, false) => Err(Error::HttpRequestDenied),
                (None, true) => Err(Error::DestinationNotFound),
                (Some(itself), true) => Ok(Way::Service(Arc::clone(itself))),
            };
        }
        let Destination { scheme, host, port } = destination;
        if !self.allowed.allows(scheme, &host.to_string(), Some(*port)) {
            return Err(Error::HttpRequestDenied);
        }
        let name = destination.name().unwrap_or_default();
        if let Some(component) = chained_component(name) {
            return Ok(Way::Component(component));
        }
        Ok(match network.services.get(name) {
            Some(service) => Way::Service(Arc::clone(service)),
            None => Way::Internet,
        })
    }

    /// Logs what was refused, and counts what policy refused.
    fn report(&self, host: &str, error: &Error) {
        let component = &*self.component;
        let reason = match error {
            Error::HttpRequestDenied => "the manifest does not allow this host",
            Error::DestinationIpProhibited => "not a public address, and not named as one",
            Error::HttpRequestUriInvalid => "not the address of a host",
            Error::HttpRequestMethodInvalid => "it asks for a tunnel",
            Error::LoopDetected => "too many calls stand on each other",
            Error::ConnectionLimitReached => {
                tracing::warn!(
                    component,
                    host,
                    "outgoing request turned away: too many at once"
                );
                return;
            }
            Error::HttpResponseHeaderSectionSize(_) | Error::HttpResponseBodySize(_) => {
                tracing::warn!(component, host, %error, "outgoing request given up");
                return;
            }
            _ => {
                tracing::debug!(component, host, %error, "outgoing request failed");
                return;
            }
        };
        tracing::warn!(component, host, reason, "outgoing request refused");
        self.metrics.outgoing_refused();
    }
}

async fn call_component(
    network: &Network,
    name: &str,
    mut request: Request,
) -> Result<Response, Error> {
    let component = network
        .components
        .get(name)
        .ok_or(Error::DestinationNotFound)?;
    let uri = request.uri().clone();
    let route = RouteMatch::chained(&(), uri.path());
    let headers = route.spin_headers(&uri, NO_CLIENT);
    strip_spin_headers(request.headers_mut());
    request.headers_mut().extend(headers);
    component.call(request).await.map_err(|error| match error {
        CallError::TooBusy => Error::ConnectionLimitReached,
        CallError::BodyTooLarge { limit } => Error::HttpRequestBodySize(Some(limit)),
        CallError::DeadlineExceeded => Error::HttpResponseTimeout,
        CallError::NoSuchComponent(_) => Error::DestinationNotFound,
        CallError::Trapped | CallError::OutOfMemory | CallError::Failed(_) => {
            Error::InternalError(Some(error.to_string()))
        }
    })
}
