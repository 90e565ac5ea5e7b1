//! Quick reads share few connections.
//!
//! A small read that the server has parsed takes it some microseconds. What it costs beside that is to be
//! sent and answered, to wake a process and to wait for a core. More sessions at once than there are
//! cores make a server that is near only switch between them. So reads that are known to be quick go
//! in few lanes, and those that come while every lane is taken go together, one behind the other in one
//! [burst](crate::burst).
//!
//! A read is taken for quick when the same text was answered fast enough by itself ([`Settings::quick`]): what takes longer
//! may be the server's work or the way to it, and is worth a session of its own. It's a bet. When it
//! is lost, because of a lock or of other parameters, those behind are not kept waiting: a lane passes
//! on what waits for it after [`PATIENCE`].

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::available_parallelism;
use std::time::Duration;

use tirage_postgres::Error;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::burst;
use crate::failure::Failure;
use crate::pool::Pool;
use crate::request::{Options, Query};
use crate::settings::Settings;

/// How many times as long the reads in a burst may take, each on average, to be taken for quick any longer.
const SLOWER: u32 = 4;

/// How long others wait for what was taken for quick.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// How many go in one burst: by then, what they share no longer weighs much.
const BURST: usize = 16;

/// The lanes of one pool.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// How many there are.
    count: usize,
    /// How many texts are remembered.
    capacity: usize,
    /// What is answered within this time is quick.
    quick: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The texts of quick reads.
    quick: HashSet<Box<str>>,
    taken: Vec<Taken>,
    /// How often a lane has been taken.
    turns: u64,
    waiting: VecDeque<Job>,
    /// How often a lane had been taken when [`watch`] last looked; nothing if nobody watches.
    watched: Option<u64>,
}

/// A lane that is taken.
#[derive(Debug)]
struct Taken {
    turn: u64,
    since: Instant,
    late: Arc<Notify>,
}

/// A read that waits for others to be done.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) query: Query<'static>,
    pub(crate) options: Options,
    reply: oneshot::Sender<Reply>,
}

/// What becomes of it.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Its result as JSON.
    Answer(Result<Vec<u8>, Failure>),
    /// Nothing, and it has had no effect: it is run by itself.
    Alone,
}

/// How a read goes.
pub(crate) enum Turn {
    /// It went with others.
    Answered(Result<Vec<u8>, Failure>),
    /// By itself; in a lane if it is quick.
    Alone(Option<Lane>),
}

/// Lets a read go with others if it is quick and every lane is taken.
pub(crate) async fn take_turn(pool: &Arc<Pool>, query: &Query<'_>, options: Options) -> Turn {
    let reply = match pool.lanes.enter(pool, query, options) {
        Entered::Alone(lane) => return Turn::Alone(lane),
        Entered::Waiting(reply) => reply,
    };
    match reply.await {
        Ok(Reply::Answer(answer)) => Turn::Answered(answer),
        Ok(Reply::Alone) => Turn::Alone(None),
        // Only where the runtime ends before the burst does.
        Err(_gone) => Turn::Answered(Err(Failure::Statement(Error::Broken))),
    }
}

enum Entered {
    Alone(Option<Lane>),
    Waiting(oneshot::Receiver<Reply>),
}

impl Lanes {
    pub(crate) fn new(settings: &Settings) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            // One more than cores: while the server works for those, another is read and written.
            count: (cores + 1).min(settings.max_connections.max(1)),
            capacity: settings.statements,
            quick: settings.quick,
            state: Mutex::default(),
        }
    }

    fn enter(&self, pool: &Arc<Pool>, query: &Query<'_>, options: Options) -> Entered {
        let mut state = self.state();
        if !options.raw_text || !state.quick.contains(&*query.statement) {
            return Entered::Alone(None);
        }
        if state.watched.is_none() {
            state.watched = Some(state.turns);
            tokio::spawn(watch(Arc::downgrade(pool)));
        }
        if state.taken.len() < self.count {
            return Entered::Alone(Some(state.take(pool)));
        }
        let (reply, answer) = oneshot::channel();
        state.waiting.push_back(Job {
            query: query.to_owned(),
            options,
            reply,
        });
        Entered::Waiting(answer)
    }

    /// Whether a read is to be [learned](Self::learn) that was answered after this time.
    pub(crate) fn is_quick(&self, time: Duration) -> bool {
        time < self.quick
    }

    /// Learns that a read is quick.
    pub(crate) fn learn(&self, statement: &str) {
        let mut state = self.state();
        if self.capacity > 0 && !state.quick.contains(statement) {
            if state.quick.len() >= self.capacity {
                state.quick.clear();
            }
            state.quick.insert(statement.into());
        }
    }

    /// Learns that a read is not.
    pub(crate) fn forget(&self, statement: &str) {
        self.state().quick.remove(statement);
    }

    /// Learns how long reads took that went together.
    pub(crate) fn learn_times<'a>(
        &self,
        statements: impl ExactSizeIterator<Item = &'a str>,
        time: Duration,
    ) {
        let limit = u32::try_from(statements.len()).map(|count| self.quick * SLOWER * count);
        if limit.is_ok_and(|limit| time > limit) {
            statements.for_each(|statement| self.forget(statement));
        }
    }

    /// Tells those that are late. Whether there is anything left to watch.
    fn call_off(&self) -> bool {
        let mut state = self.state();
        for taken in &state.taken {
            if taken.since.elapsed() >= PATIENCE {
                taken.late.notify_one();
            }
        }
        let is_in_use = !state.taken.is_empty() || state.watched != Some(state.turns);
        state.watched = is_in_use.then_some(state.turns);
        is_in_use
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Right after every single change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, pool: &Arc<Pool>) -> Lane {
        self.turns += 1;
        let late = Arc::new(Notify::new());
        self.taken.push(Taken {
            turn: self.turns,
            since: Instant::now(),
            late: Arc::clone(&late),
        });
        Lane {
            pool: Arc::clone(pool),
            turn: self.turns,
            late,
        }
    }

    /// Moves those that go together from those that wait; not those whose clients have left.
    fn fill(&mut self, burst: &mut Vec<Job>) {
        while burst.len() < BURST
            && let Some(job) = self.waiting.pop_front()
        {
            if !job.reply.is_closed() {
                burst.push(job);
            }
        }
    }
}

impl Job {
    pub(crate) fn reply(self, reply: Reply) {
        // Whoever has left needs none.
        let _gone = self.reply.send(reply);
    }
}

/// The right to a lane. Dropping it passes the lane on to those that wait.
#[derive(Debug)]
pub(crate) struct Lane {
    pool: Arc<Pool>,
    turn: u64,
    late: Arc<Notify>,
}

impl Lane {
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Waits for `read`; its output, unless others have waited for longer than they have patience.
    pub(crate) async fn while_patient<T>(
        &self,
        read: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            output = read => Some(output),
            () = self.late.notified() => None,
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut burst = Vec::new();
        let mut state = self.pool.lanes.state();
        state.taken.retain(|taken| taken.turn != self.turn);
        state.fill(&mut burst);
        if burst.is_empty() {
            return;
        }
        let lane = state.take(&self.pool);
        drop(state);
        // Where there is no runtime any more, nobody waits for a reply either.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(drive(lane, burst));
        }
    }
}

async fn drive(lane: Lane, mut burst: Vec<Job>) {
    // Those who were answered by the burst before ask again now, and may come along.
    yield_now().await;
    lane.pool.lanes.state().fill(&mut burst);
    burst::run(lane, burst).await;
}

/// Calls off what takes too long. One for all, because a timer for each read would cost more than all the
/// rest of a lane.
async fn watch(pool: Weak<Pool>) {
    loop {
        sleep(PATIENCE / 2).await;
        match pool.upgrade() {
            Some(pool) if pool.lanes.call_off() => {}
            _ => return,
        }
    }
}
