//! Where a guest's outgoing requests go: to another component, to a service of the router's own,
//! or out to the network. Everything that the manifest does not allow is refused, logged with the
//! component's name, and answered to the guest as an error that says it was policy.
//!
//! Calls between components and to the router's services never leave the process and never hold a
//! whole body: both sides stream into each other.

mod address;
mod connector;
mod internet;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Weak};

use http::HeaderName;
use http::uri::Scheme;
use tirage_manifest::{AllowedHosts, RouteMatch, chained_component, strip_spin_headers};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

use crate::component::Component;
use crate::metrics::ComponentMetrics;
use crate::{CallError, Request, Response};
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
}

/// One component's way out.
#[derive(Clone)]
pub(crate) struct Outgoing(Arc<Policy>);

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
        network: Weak<Network>,
        metrics: ComponentMetrics,
    ) -> Self {
        Self(Arc::new(Policy {
            component,
            internet: Internet::new(allowed.clone()),
            allowed,
            network,
            forbidden_headers: Arc::new(|name| FORBIDDEN_HEADERS.contains(name)),
            metrics,
        }))
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
        Arc::clone(&self.0.forbidden_headers)
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
        let policy = Arc::clone(&self.0);
        Box::new(async move {
            let response = policy.send(request, options.unwrap_or_default()).await?;
            let done: Box<dyn Future<Output = Result<(), Error>> + Send> =
                Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

impl Policy {
    async fn send(&self, request: Request, options: RequestOptions) -> Result<Response, Error> {
        let uri = request.uri();
        let host = uri
            .host()
            .ok_or(Error::HttpRequestUriInvalid)?
            .to_ascii_lowercase();
        let (scheme, default_port) = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => ("http", 80),
            Some(scheme) if *scheme == Scheme::HTTPS => ("https", 443),
            _ => return Err(Error::HttpProtocolError),
        };
        let port = uri.port_u16().unwrap_or(default_port);
        if !self.allowed.allows(scheme, &host, Some(port)) {
            return Err(self.refuse(
                &host,
                "the manifest does not allow this host",
                Error::HttpRequestDenied,
            ));
        }
        let network = self.network.upgrade().ok_or(Error::ConnectionTerminated)?;
        if let Some(name) = chained_component(&host) {
            return call_component(&network, name, request).await;
        }
        if let Some(service) = network.services.get(&host) {
            return Ok(service.call(&self.component, request).await);
        }
        drop(network);
        let sent = self.internet.send(request, options).await;
        if let Err(Error::DestinationIpProhibited) = sent {
            return Err(self.refuse(
                &host,
                "not a public address",
                Error::DestinationIpProhibited,
            ));
        }
        sent
    }

    fn refuse(&self, host: &str, reason: &str, error: Error) -> Error {
        let component = &*self.component;
        tracing::warn!(component, host, reason, "outgoing request refused");
        self.metrics.outgoing_refused();
        error
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
