//! What the router counts, and the address that Prometheus reads it from: never the public one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tirage_host::HostMetrics;
use tokio::net::TcpListener;

/// Upper bounds of the duration buckets, in seconds.
const DURATION_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// All metrics of the process.
pub(crate) struct Metrics {
    registry: Registry,
    /// The host's part.
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

    /// Counts a request that begins; it is in flight until the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Counts a request that was answered, by a component or else by the router itself.
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

/// See [`Metrics::begin`].
pub(crate) struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The registered methods (RFC 9110, 9.3); what clients make up must not make new time series.
fn method_label(method: &Method) -> &'static str {
    const REGISTERED: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let is_it = |name: &&&str| **name == method.as_str();
    REGISTERED.iter().find(is_it).unwrap_or(&"other")
}

/// Answers `GET /metrics` on `listener` for as long as the process runs.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let response = respond(&metrics, &request);
                async { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "metrics connection ended early");
            }
        });
    }
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
