//! The wasmtime engine of the process: compilation, allocation of instances, and epochs.
//!
//! Instances come from a pool, because reusing a slot takes microseconds, while a new mapping takes a
//! system call per memory. If the operating system refuses to reserve the pool's address space (as
//! gVisor does), the engine maps each instance on demand. The compiled code is the same, so one
//! `.cwasm` serves both.
//!
//! One thread per engine advances the epoch every [`EPOCH_TICK`]. A guest yields to other tokio tasks
//! at each tick. Deadlines are enforced from outside of the guest (see `instance.rs`).

use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Interval at which a running guest yields to other tokio tasks.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(10);

/// Bytes of linear memory that a pool slot keeps mapped between two instances. Clearing this much is
/// faster than unmapping it and faulting it in again.
const KEEP_RESIDENT: usize = 512 * 1024;

/// Maximum numbers of core instances, tables and memories of one component instance. A component
/// built from Rust has one memory, one table and a few small adapter modules.
const CORE_INSTANCES_PER_COMPONENT: u32 = 16;
const TABLES_PER_COMPONENT: u32 = 8;
const MEMORIES_PER_COMPONENT: u32 = 2;

/// Allocation of instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocator {
    /// Pool, or on demand if its address space can't be reserved.
    #[default]
    Auto,
    /// Pool. Starting the engine fails without address space for it.
    Pooling,
    /// A new mapping for each instance.
    OnDemand,
}

/// Size of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Maximum number of concurrent component instances: at least the sum of the components'
    /// concurrency limits, since each request may have an instance of its own.
    pub instances: u32,
    /// Maximum size of a linear memory in bytes: the largest limit of any component.
    pub memory_bytes: usize,
}

/// The engine can't be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the WebAssembly engine: {0:#}")]
pub struct EngineError(wasmtime::Error);

/// Creates the engine and starts its epoch thread, which ends when the engine is dropped.
///
/// # Errors
/// The address space for [`Allocator::Pooling`] can't be reserved, or wasmtime doesn't support this
/// processor.
pub(crate) fn start(allocator: Allocator, pool: PoolSize) -> Result<Engine, EngineError> {
    let engine = match allocator {
        Allocator::OnDemand => on_demand(),
        Allocator::Pooling => pooling(pool),
        Allocator::Auto => pooling(pool).or_else(|error| {
            tracing::info!(%error, "cannot reserve the instance pool: mapping instances on demand");
            on_demand()
        }),
    }
    .map_err(EngineError)?;
    start_epoch_thread(&engine).map_err(|error| EngineError(error.into()))?;
    Ok(engine)
}

/// Creates an engine for compiling ahead of time. It has the configuration of [`start`], so that a
/// router of the same version can map the compiled code.
///
/// # Errors
/// Wasmtime doesn't support this processor.
pub(crate) fn for_compiling() -> Result<Engine, EngineError> {
    on_demand().map_err(EngineError)
}

fn on_demand() -> wasmtime::Result<Engine> {
    Engine::new(&base_config())
}

fn pooling(size: PoolSize) -> wasmtime::Result<Engine> {
    let instances = size.instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(instances.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(instances.saturating_mul(TABLES_PER_COMPONENT))
        // A guest that waits in a synchronous call holds a stack, and so does the tokio task that runs.
        .total_stacks(instances.saturating_mul(2))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_memory_size(size.memory_bytes)
        .linear_memory_keep_resident(KEEP_RESIDENT);
    let mut config = base_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

fn base_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .epoch_interruption(true);
    config
}

fn start_epoch_thread(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epoch".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(EPOCH_TICK);
            }
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_larger_than_the_address_space_falls_back_to_on_demand() {
        let too_large = PoolSize {
            instances: 40_000_000,
            memory_bytes: 512 << 20,
        };
        assert!(start(Allocator::Pooling, too_large).is_err());
        assert!(start(Allocator::Auto, too_large).is_ok());
    }
}
