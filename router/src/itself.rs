//! The application as its own client: components that call `http://self.alt/…` get what a client
//! would, by the same routes, but in process.
//!
//! Under Spin such a call goes over the router's own socket. Here none is opened; all that a component
//! may notice is the host's name, which stays `self.alt`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use http::StatusCode;
use http_body_util::{BodyExt as _, Empty};
use tirage_host::{InternalService, Request, Response};

use crate::service::Application;

/// The client's address in a call from within, as Spin gives it between components.
const NO_CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Stands for the application while it is still being made: its components lead to it, and it to them.
#[derive(Default)]
pub(crate) struct Itself(OnceLock<Weak<Application>>);

impl Itself {
    /// Says which application it is.
    pub(crate) fn is(&self, application: &Arc<Application>) {
        // The first word counts; there is no second.
        let _ = self.0.set(Arc::downgrade(application));
    }
}

impl InternalService for Itself {
    fn call(&self, _: &str, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send>> {
        let application = self.0.get().and_then(Weak::upgrade);
        Box::pin(async move {
            match application {
                Some(application) => application.answer(NO_CLIENT, request).await,
                None => unavailable(),
            }
        })
    }
}

/// Before the application is made, or after it has ended.
fn unavailable() -> Response {
    let body = Empty::new().map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
