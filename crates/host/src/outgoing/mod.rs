//! Outgoing requests of guests: to another component, to the component's own application, to a
//! service of the router, or to the network. A request that the manifest doesn't allow is refused and
//! logged with the component's id; the guest gets an error that names the policy.
//!
//! Calls within the process stream in both directions, without buffering a whole body. [`call_depth`]
//! limits their nesting.

mod address;
mod call_depth;
mod connector;
mod destination;
mod http_client;
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
pub(crate) use call_depth::{CallDepth, CallDepths, DepthTrackingClient};
use destination::Destination;
use http_client::HttpClient;

/// A service of the router, which components call by a host name and without a socket.
pub trait InternalService: Send + Sync {
    /// Serves one request. `caller` is the id of the component that sent it, from the manifest: a guest
    /// can't set it.
    fn call(
        &self,
        caller: &str,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Response> + Send>>;
}

/// Client address of a call between components, as in Spin.
const NO_CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Destinations within the process.
#[derive(Default)]
pub(crate) struct LocalDestinations {
    pub(crate) components: HashMap<Arc<str>, Component>,
    pub(crate) services: HashMap<String, Arc<dyn InternalService>>,
    /// Service that serves a component's requests to its own application.
    pub(crate) own_application: Option<Arc<dyn InternalService>>,
}

/// Outgoing requests of one instance.
#[derive(Clone)]
pub(crate) struct Outgoing {
    policy: Arc<Policy>,
    pub(crate) call_depths: CallDepths,
}

/// Policy and connections that all instances of a component share.
struct Policy {
    component: Arc<str>,
    allowed: AllowedHosts,
    local: Weak<LocalDestinations>,
    http_client: HttpClient,
    forbidden_headers: ForbiddenHeaderFilter,
    metrics: ComponentMetrics,
}

impl Outgoing {
    pub(crate) fn new(
        component: Arc<str>,
        allowed: AllowedHosts,
        limits: OutgoingLimits,
        local: Weak<LocalDestinations>,
        metrics: ComponentMetrics,
    ) -> Self {
        let policy = Policy {
            component,
            http_client: HttpClient::new(allowed.clone(), limits),
            allowed,
            local,
            forbidden_headers: Arc::new(|name| FORBIDDEN_HEADERS.contains(name)),
            metrics,
        };
        Self {
            policy: Arc::new(policy),
            call_depths: CallDepths::default(),
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

/// wasmtime's default names, in a static so that they aren't created for each header of each request.
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
        let depth = self.call_depths.next();
        Box::new(async move {
            let options = options.unwrap_or_default();
            let response = policy.send(request, options, depth).await?;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

/// Target of an allowed request.
enum Target<'a> {
    /// The component of this id.
    Component(&'a str),
    /// A service of the router.
    Service(Arc<dyn InternalService>),
    /// A host of the network.
    Network,
}

impl Policy {
    async fn send(
        &self,
        mut request: Request,
        options: RequestOptions,
        depth: CallDepth,
    ) -> Result<Response, Error> {
        let result = match Destination::parse(request.uri()) {
            Ok(destination) => {
                let response = self.send_to(&destination, request, options, depth).await;
                response.map_err(|error| (error, destination.to_string()))
            }
            Err(error) => {
                let uri = std::mem::take(request.uri_mut());
                Err((error, uri.authority().map_or("", |a| a.host()).to_owned()))
            }
        };
        result.map_err(|(error, host)| {
            self.report(&host, &error);
            error
        })
    }

    async fn send_to(
        &self,
        destination: &Destination,
        mut request: Request,
        options: RequestOptions,
        depth: CallDepth,
    ) -> Result<Response, Error> {
        destination.write_to(&mut request)?;
        let local = self.local.upgrade().ok_or(Error::ConnectionTerminated)?;
        match self.target(&local, destination)? {
            Target::Network => {
                drop(local);
                self.http_client.send(request, options).await
            }
            Target::Component(name) => {
                request.extensions_mut().insert(depth.checked()?);
                call_component(&local, name, request).await
            }
            Target::Service(service) => {
                request.extensions_mut().insert(depth.checked()?);
                drop(local);
                Ok(service.call(&self.component, request).await)
            }
        }
    }

    fn target<'a>(
        &self,
        local: &LocalDestinations,
        destination: &'a Destination,
    ) -> Result<Target<'a>, Error> {
        if destination.is_own_application() {
            return match (&local.own_application, self.allowed.allows_self()) {
                (_, false) => Err(Error::HttpRequestDenied),
                (None, true) => Err(Error::DestinationNotFound),
                (Some(service), true) => Ok(Target::Service(Arc::clone(service))),
            };
        }
        let Destination { scheme, host, port } = destination;
        if !self.allowed.allows(scheme, &host.to_string(), Some(*port)) {
            return Err(Error::HttpRequestDenied);
        }
        let name = destination.name().unwrap_or_default();
        if let Some(component) = chained_component(name) {
            return Ok(Target::Component(component));
        }
        Ok(match local.services.get(name) {
            Some(service) => Target::Service(Arc::clone(service)),
            None => Target::Network,
        })
    }

    /// Logs a failed request, and counts it if the policy refused it.
    fn report(&self, host: &str, error: &Error) {
        let component = &*self.component;
        let reason = match error {
            Error::HttpRequestDenied => "the manifest does not allow this host",
            Error::DestinationIpProhibited => {
                "the address is not public, and the manifest does not name it"
            }
            Error::HttpRequestUriInvalid => "invalid URI",
            Error::HttpRequestMethodInvalid => "CONNECT is not allowed",
            Error::LoopDetected => "too many nested calls between components",
            Error::ConnectionLimitReached => {
                tracing::warn!(
                    component,
                    host,
                    "outgoing request failed: too many concurrent calls"
                );
                return;
            }
            Error::HttpResponseHeaderSectionSize(_) | Error::HttpResponseBodySize(_) => {
                tracing::warn!(component, host, %error, "outgoing request failed: the response exceeds a limit");
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
    local: &LocalDestinations,
    name: &str,
    mut request: Request,
) -> Result<Response, Error> {
    let component = local
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
