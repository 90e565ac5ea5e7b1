//! The router's metrics, and the server for Prometheus, on an address of its own.

use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tirage_host::HostMetrics;
use tirage_net::listen::{self, Options};
use tokio::net::TcpListener;

/// Upper bounds of the duration buckets, in seconds.
const DURATION_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Limits of the metrics server, whose clients are few.
const OPTIONS: Options = Options {
    max_connections: 64,
    head_timeout: Duration::from_secs(10),
    keep_alive_timeout: Duration::from_secs(120),
    drain_timeout: Duration::ZERO,
    max_streams: 8,
};

/// All metrics of the process.
pub(crate) struct Metrics {
    registry: Registry,
    /// Metrics of the host.
    pub(crate) host: HostMetrics,
    requests: Family<RequestLabels, Counter>,
    durations: Family<ComponentLabel, Histogram>,
    in_flight: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    component: Arc<str>,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ComponentLabel {
    component: Arc<str>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("tirage");
        let host = HostMetrics::default();
        host.register(&mut registry);
        let requests = Family::default();
        registry.register("requests", "Requests answered", requests.clone());
        let durations: Family<ComponentLabel, Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        registry.register(
            "request_duration_seconds",
            "Time until the response's head",
            durations.clone(),
        );
        let in_flight = Gauge::default();
        registry.register(
            "requests_in_flight",
            "Requests whose response's head is awaited",
            in_flight.clone(),
        );
        Self {
            registry,
            host,
            requests,
            durations,
            in_flight,
        }
    }

    /// Counts a request, which is in flight until the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Counts an answered request; without a component the router itself answered.
    pub(crate) fn answered(
        &self,
        component: Option<&Arc<str>>,
        method: &Method,
        status: StatusCode,
        duration: Duration,
    ) {
        let component = component.cloned().unwrap_or_default();
        self.requests
            .get_or_create(&RequestLabels {
                component: Arc::clone(&component),
                method: method_label(method),
                status: status.as_u16(),
            })
            .inc();
        self.durations
            .get_or_create(&ComponentLabel { component })
            .observe(duration.as_secs_f64());
    }

    fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A request in flight.
pub(crate) struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Returns a registered method (RFC 9110, 9.3) or `other`, so that clients can't create time series.
fn method_label(method: &Method) -> &'static str {
    const REGISTERED: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let is_it = |name: &&&str| **name == method.as_str();
    REGISTERED.iter().find(is_it).unwrap_or(&"other")
}

/// Answers `GET /metrics` on `listener` for as long as the process runs.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let handler = move |_, request: http::Request<_>| {
        let response = respond(&metrics, &request);
        future::ready(Ok::<_, Infallible>(response))
    };
    listen::serve(listener, OPTIONS, handler, future::pending()).await;
}

fn respond<B>(metrics: &Metrics, request: &http::Request<B>) -> http::Response<Full<Bytes>> {
    let mut response = http::Response::new(Full::default());
    if request.uri().path() != "/metrics" || request.method() != Method::GET {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    }
    match metrics.encode() {
        Ok(text) => {
            *response.body_mut() = Full::from(text);
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static(
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                ),
            );
        }
        Err(error) => {
            tracing::error!(%error, "cannot encode metrics");
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    response
}
