//! Each action alone, and random sequences of them against a simple model.

mod model;

use tempfile::TempDir;

use super::*;

const START: Moment = Moment(1_000_000);

/// A store with the queue `jobs` and its dead-letter queue `dead`.
struct Fixture {
    jobs: Queue,
    dead: Queue,
    folder: TempDir,
    /// `None` only while it is reopened.
    store: Option<Store>,
}

impl Fixture {
    fn new(visibility_seconds: u32, max_receives: u32) -> Self {
        let dead = Queue {
            name: "dead".parse().unwrap(),
            visibility_seconds: 30,
            redrive: None,
        };
        let jobs = Queue {
            name: "jobs".parse().unwrap(),
            visibility_seconds,
            redrive: Some(Redrive {
                dead_letters: dead.name.clone(),
                max_receives,
            }),
        };
        let mut fixture = Self {
            jobs,
            dead,
            folder: temporary_folder(),
            store: None,
        };
        fixture.reopen();
        fixture
    }

    /// Closes and opens the file.
    fn reopen(&mut self) {
        if let Some(mut store) = self.store.take() {
            // Syncs the transactions so far.
            store.durability = Durability::Immediate;
            let sync = store.write(|messages| {
                messages.changed = true;
                Ok(())
            });
            sync.unwrap();
        }
        let queues = [self.jobs.clone(), self.dead.clone()];
        let mut store = Store::open(self.folder.path(), &queues).unwrap();
        store.durability = Durability::None;
        self.store = Some(store);
    }

    fn write<T>(
        &self,
        action: impl FnOnce(&mut Messages<'_>) -> Result<T, ApiError>,
    ) -> Result<T, Code> {
        let result = self.store.as_ref().unwrap().write(action);
        result.map(|(result, _)| result).map_err(|error| error.code)
    }

    fn send(&self, body: &str, now: Moment) {
        let content = Content::new(body.to_owned()).unwrap();
        self.write(|messages| messages.send(&self.jobs, content, now))
            .unwrap();
    }

    fn receive(&self, queue: &Queue, limit: usize, now: Moment) -> Vec<(Receipt, String, u32)> {
        let received = self.write(|messages| messages.receive(queue, limit, now));
        let messages = received.unwrap().messages.into_iter();
        messages
            .map(|(receipt, message)| (receipt, message.content.body, message.receives))
            .collect()
    }

    fn receive_jobs(&self, now: Moment) -> Vec<(Receipt, String, u32)> {
        self.receive(&self.jobs, 10, now)
    }

    fn delete(&self, receipt: Receipt) {
        self.write(|messages| messages.delete(&self.jobs, receipt))
            .unwrap();
    }

    fn change_visibility(&self, receipt: Receipt, seconds: u32, now: Moment) -> Result<(), Code> {
        self.write(|messages| messages.change_visibility(&self.jobs, receipt, seconds, now))
    }
}

/// Creates a folder in memory if the system has one: syncing to disk is slow, and nothing is killed here.
fn temporary_folder() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

#[test]
fn a_received_message_is_hidden_for_the_visibility_timeout() {
    let fixture = Fixture::new(30, 10);
    fixture.send("a", START);
    let first = fixture.receive_jobs(START);
    assert_eq!((first[0].1.as_str(), first[0].2), ("a", 1));
    assert_eq!(fixture.receive_jobs(Moment(START.0 + 29_999)), []);
    let second = fixture.receive_jobs(START.plus_seconds(30));
    assert_eq!(second[0].2, 2);
    assert_ne!(second[0].0, first[0].0, "each receive has its own receipt");
}

#[test]
fn a_receive_reports_when_the_next_message_becomes_visible() {
    let fixture = Fixture::new(30, 10);
    let next = |now| {
        let received = fixture.write(|messages| messages.receive(&fixture.jobs, 10, now));
        received.unwrap().next_visible_from
    };
    assert_eq!(next(START), None);
    fixture.send("a", START);
    fixture.receive_jobs(START);
    assert_eq!(next(START.plus_seconds(1)), Some(START.plus_seconds(30)));
}

#[test]
fn an_outdated_receipt_deletes_nothing_and_a_late_one_deletes() {
    let fixture = Fixture::new(30, 10);
    fixture.send("a", START);
    let first = fixture.receive_jobs(START)[0].0;
    let later = START.plus_seconds(31);
    let second = fixture.receive_jobs(later)[0].0;
    fixture.delete(first);
    let counts = fixture.write(|messages| messages.counts(&fixture.jobs, later));
    assert_eq!(counts.unwrap().received, 1);
    let much_later = later.plus_seconds(31);
    fixture.delete(second);
    assert_eq!(fixture.receive_jobs(much_later), []);
}

#[test]
fn messages_received_too_often_move_to_the_dead_letters() {
    let fixture = Fixture::new(1, 2);
    fixture.send("a", START);
    for receives in 1..=2 {
        let now = START.plus_seconds(receives);
        assert_eq!(fixture.receive_jobs(now)[0].2, receives);
    }
    let now = START.plus_seconds(3);
    assert_eq!(fixture.receive(&fixture.dead, 10, now), []);
    assert_eq!(fixture.receive_jobs(now), []);
    let dead = fixture.receive(&fixture.dead, 10, now);
    assert_eq!((dead[0].1.as_str(), dead[0].2), ("a", 1));
}

#[test]
fn visibility_changes_to_zero_or_to_the_queues_timeout() {
    let fixture = Fixture::new(30, 10);
    fixture.send("a", START);
    let (receipt, ..) = fixture.receive_jobs(START)[0];
    let change = |seconds, now| fixture.change_visibility(receipt, seconds, now);
    assert_eq!(change(10, START), Err(Code::InvalidParameterValue));
    assert_eq!(change(30, START.plus_seconds(20)), Ok(()));
    assert_eq!(change(0, START.plus_seconds(40)), Ok(()));
    assert_eq!(
        change(0, START.plus_seconds(40)),
        Err(Code::MessageNotInflight)
    );
    assert_eq!(fixture.receive_jobs(START.plus_seconds(40)).len(), 1);
}

#[test]
fn messages_expire_after_the_retention_period() {
    let fixture = Fixture::new(30, 10);
    fixture.send("old", START);
    fixture.send("young", START.plus_seconds(1));
    let now = START.plus_seconds(RETENTION_SECONDS);
    let counts = fixture.write(|messages| messages.counts(&fixture.jobs, now));
    assert_eq!(counts.unwrap().never_received, 1);
    let left = fixture.receive_jobs(now);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1, "young");
}

#[test]
fn messages_of_other_queues_stay_in_the_file() {
    let mut fixture = Fixture::new(30, 10);
    fixture.send("a", START);
    let jobs = std::mem::replace(&mut fixture.jobs.name, "others".parse().unwrap());
    fixture.reopen();
    assert_eq!(fixture.receive_jobs(START), []);
    fixture
        .write(|messages| messages.purge(&fixture.jobs))
        .unwrap();
    fixture.jobs.name = jobs;
    fixture.reopen();
    assert_eq!(fixture.receive_jobs(START).len(), 1);
}
