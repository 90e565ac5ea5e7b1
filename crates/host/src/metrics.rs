//! Prometheus metrics of the host, per component.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::CallError;

/// Metrics of the host. Register them once; [`HostMetrics::for_component`] labels them.
#[derive(Clone, Debug, Default)]
pub struct HostMetrics {
    instances: Family<ComponentLabel, Gauge>,
    instances_started: Family<ComponentLabel, Counter>,
    traps: Family<ComponentLabel, Counter>,
    limits_hit: Family<LimitLabels, Counter>,
    outgoing_refused: Family<ComponentLabel, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ComponentLabel {
    component: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    component: String,
    limit: Limit,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
enum Limit {
    Concurrency,
    Deadline,
    Memory,
    RequestBody,
}

impl HostMetrics {
    /// Registers all metrics in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("instances", "Running instances", self.instances.clone());
        registry.register(
            "instances_started",
            "Instances created since the start",
            self.instances_started.clone(),
        );
        registry.register(
            "traps",
            "Requests that failed because of a trap",
            self.traps.clone(),
        );
        registry.register(
            "limits_hit",
            "Requests that exceeded a limit",
            self.limits_hit.clone(),
        );
        registry.register(
            "outgoing_refused",
            "Outgoing requests that the policy refused",
            self.outgoing_refused.clone(),
        );
    }

    pub(crate) fn for_component(&self, component: &str) -> ComponentMetrics {
        ComponentMetrics {
            label: ComponentLabel {
                component: component.to_owned(),
            },
            host: self.clone(),
        }
    }
}

/// Metrics labelled with one component.
#[derive(Clone)]
pub(crate) struct ComponentMetrics {
    label: ComponentLabel,
    host: HostMetrics,
}

impl ComponentMetrics {
    pub(crate) fn instance_started(&self) {
        self.host.instances.get_or_create(&self.label).inc();
        self.host.instances_started.get_or_create(&self.label).inc();
    }

    pub(crate) fn instance_ended(&self) {
        self.host.instances.get_or_create(&self.label).dec();
    }

    pub(crate) fn outgoing_refused(&self) {
        self.host.outgoing_refused.get_or_create(&self.label).inc();
    }

    pub(crate) fn failed(&self, error: &CallError) {
        let limit = match error {
            CallError::TooBusy => Limit::Concurrency,
            CallError::DeadlineExceeded => Limit::Deadline,
            CallError::OutOfMemory => Limit::Memory,
            CallError::BodyTooLarge { .. } => Limit::RequestBody,
            CallError::Trapped | CallError::Failed(_) => {
                self.host.traps.get_or_create(&self.label).inc();
                return;
            }
            CallError::NoSuchComponent(_) => return,
        };
        let labels = LimitLabels {
            component: self.label.component.clone(),
            limit,
        };
        self.host.limits_hit.get_or_create(&labels).inc();
    }
}
