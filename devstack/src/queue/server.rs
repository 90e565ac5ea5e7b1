//! The queue's server: opens the folder and the port, serves until it is stopped.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use super::actions::queue_url;
use super::http::Handler;
use super::name::QueueName;
use super::service::{Service, Writer};
use super::store::{Queue, Redrive, Store};
use crate::access_key::AccessKey;
use crate::data_folder::DataFolder;
use crate::error::Error;
use crate::loopback::Loopback;

/// Region that requests are signed for.
pub const REGION: &str = "fr-par";

/// Visibility timeout of the dead-letter queue (SQS's default).
const DEAD_LETTER_VISIBILITY_SECONDS: u32 = 30;

/// Configuration of a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Data folder, created if absent; `None` for a temporary one.
    pub folder: Option<PathBuf>,
    /// Port on 127.0.0.1; `None` for that of the last start, or a free one.
    pub port: Option<u16>,
    /// Name of the queue.
    pub queue: QueueName,
    /// Time for which a received message is hidden.
    pub visibility_seconds: u32,
    /// Number of receives after which a message moves to the dead-letter queue.
    pub max_receives: u32,
}

/// A server that holds its folder and its port.
pub struct Server {
    loopback: Loopback,
    access_key: AccessKey,
    service: Arc<Service>,
    writer: Writer,
    // Unlocked after the store is closed.
    _folder: DataFolder,
}

impl Server {
    /// Opens the folder and the port. Connections wait until [`Server::serve`].
    ///
    /// # Errors
    /// [`Error`] says what is missing.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let folder = DataFolder::open_or_temporary(settings.folder.as_deref())?;
        let dead_letters = Queue {
            name: settings.queue.dead_letters()?,
            visibility_seconds: DEAD_LETTER_VISIBILITY_SECONDS,
            redrive: None,
        };
        let queue = Queue {
            name: settings.queue.clone(),
            visibility_seconds: settings.visibility_seconds,
            redrive: Some(Redrive {
                dead_letters: dead_letters.name.clone(),
                max_receives: settings.max_receives,
            }),
        };
        let queues = [queue, dead_letters];
        let store = Store::open(folder.path(), &queues)?;
        let access_key = AccessKey::read_or_create(&folder.path().join("keys.json"))?;
        let loopback = Loopback::bind(&folder, settings.port)?;
        let (service, writer) = Service::start(store, queues)?;
        Ok(Self {
            loopback,
            access_key,
            service,
            writer,
            _folder: folder,
        })
    }

    /// Returns `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.loopback.endpoint()
    }

    /// Returns the key that clients sign with.
    #[must_use]
    pub fn access_key(&self) -> &AccessKey {
        &self.access_key
    }

    /// Returns the URL of the queue.
    #[must_use]
    pub fn queue_url(&self) -> String {
        let [queue, ..] = self.service.queues();
        queue_url(&self.endpoint(), &queue.name)
    }

    /// Serves until `stop` resolves, then answers waiting receives and finishes requests in flight.
    ///
    /// # Errors
    /// [`Error::Unwritable`] when messages can't be written any more.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let service = self.service;
        let handler = Arc::new(Handler {
            service: Arc::clone(&service),
            endpoint: self.loopback.endpoint(),
            access_key: self.access_key,
        });
        let failed = Cell::new(false);
        let stop = async {
            tokio::select! {
                () = stop => {}
                () = service.failed() => failed.set(true),
            }
            service.stop();
        };
        let handler = move |request| Arc::clone(&handler).respond(request);
        let served = self.loopback.serve(handler, stop).await;
        service.close(self.writer);
        served?;
        match failed.get() {
            true => Err(Error::Unwritable),
            false => Ok(()),
        }
    }
}
