//! The one wasmtime engine of the process: how code is compiled, how instances get their memory,
//! and the clock that keeps guests fair.
//!
//! Instances come from a pool where the machine lets us reserve its address space, because a slot
//! that is reused costs microseconds where a new mapping costs a system call per memory. Where the
//! reservation is refused (gVisor does) the engine falls back to mapping on demand; the compiled
//! code is the same, so one `.cwasm` serves both.
//!
//! Epochs: one thread per engine advances the epoch every [`EPOCH_TICK`]. Guests yield to other
//! tasks at each tick; deadlines are enforced from outside the guest (see `worker`).

use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a guest that computes without pause has to let others run.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(10);

/// Linear memory that a pooled slot keeps mapped between two instances, in bytes. Clearing this
/// much by hand is faster than giving it back to the kernel and faulting it in again.
const KEEP_RESIDENT: usize = 512 * 1024;

/// Core instances, tables and memories that one component instance may consist of. A component
/// built by Rust has one memory, one table and a handful of small adapter modules.
const CORE_INSTANCES_PER_COMPONENT: u32 = 16;
const TABLES_PER_COMPONENT: u32 = 8;
const MEMORIES_PER_COMPONENT: u32 = 2;

/// Where instances get their memory from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocator {
    /// Pooled where the address space can be reserved, on demand elsewhere.
    #[default]
    Auto,
    /// Pooled, or an error.
    Pooling,
    /// Mapped for each instance.
    OnDemand,
}

/// How much room the pool needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Component instances that may be alive at once: at least the sum of the components'
    /// concurrency limits, since in the worst case each request has an instance of its own.
    pub instances: u32,
    /// The largest linear memory that any component may grow to, in bytes.
    pub memory_bytes: usize,
}

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the WebAssembly engine: {0:#}")]
pub struct EngineError(wasmtime::Error);

/// Makes the engine and starts its ticker, which ends when the engine is dropped.
///
/// # Errors
/// When the address space for the pool is refused and [`Allocator::Pooling`] was asked for, or when
/// this processor lacks what wasmtime needs.
pub(crate) fn start(allocator: Allocator, pool: PoolSize) -> Result<Engine, EngineError> {
    let engine = match allocator {
        Allocator::OnDemand => on_demand(),
        Allocator::Pooling => pooling(pool),
        Allocator::Auto => pooling(pool).or_else(|error| {
            tracing::info!(%error, "no address space for an instance pool, mapping on demand");
            on_demand()
        }),
    }
    .map_err(EngineError)?;
    start_ticker(&engine).map_err(|error| EngineError(error.into()))?;
    Ok(engine)
}

/// An engine that only compiles: the same settings as at run time, so that what it makes can be
/// mapped by every router of this version.
///
/// # Errors
/// When this processor lacks what wasmtime needs.
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
        // A guest that waits inside a synchronous call holds a stack; so does the task that runs.
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

fn start_ticker(engine: &Engine) -> std::io::Result<()> {
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
    fn a_pool_that_no_address_space_can_hold_falls_back_to_on_demand() {
        let absurd = PoolSize {
            instances: 40_000_000,
            memory_bytes: 512 << 20,
        };
        assert!(start(Allocator::Pooling, absurd).is_err());
        assert!(start(Allocator::Auto, absurd).is_ok());
    }
}
