//! Calls of the application to itself: a component that requests `http://self.alt/…` gets the response that
//! a client would get, by the same routes, in process.
//!
//! Under Spin such a call goes over the server's own socket. Here no socket is opened; the component can
//! notice this only by the host's name, which stays `self.alt`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use http::StatusCode;
use http_body_util::{BodyExt as _, Empty};
use tirage_host::{InternalService, Request, Response};

use crate::service::Application;

/// The client's address in a call from within, as Spin sets it between components.
const NO_CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Routes requests to the application. It is created before the application, whose components need it.
#[derive(Default)]
pub(crate) struct SelfCall(OnceLock<Weak<Application>>);

impl SelfCall {
    /// Sets the application. Only the first call has an effect.
    pub(crate) fn set_application(&self, application: &Arc<Application>) {
        let _ = self.0.set(Arc::downgrade(application));
    }
}

impl InternalService for SelfCall {
    fn call(&self, _: &str, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send>> {
        let application = self.0.get().and_then(Weak::upgrade);
        Box::pin(async move {
            match application {
                Some(application) => application.respond(NO_CLIENT, request).await,
                None => unavailable(),
            }
        })
    }
}

/// The response before the application is loaded and after it has ended.
fn unavailable() -> Response {
    let body = Empty::new().map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
