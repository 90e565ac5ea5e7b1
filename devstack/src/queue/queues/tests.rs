//! What each operation does, one at a time.

mod fifo;
mod model;

use super::*;
use crate::queue::attributes::Redrive;

const START: Moment = Moment(1_000_000);

fn name(text: &str) -> QueueName {
    text.parse().unwrap()
}

fn queues(visibility_seconds: u32, max_receives: u32) -> Queues {
    let mut queues = Queues::default();
    queues.ensure(name("dead"), |_| {}, START);
    queues.ensure(
        name("jobs"),
        |attributes| {
            attributes.visibility_seconds = visibility_seconds;
            attributes.redrive = Some(Redrive {
                dead_letters: name("dead"),
                max_receives,
            });
        },
        START,
    );
    queues
}

fn send(queues: &mut Queues, body: &str, now: Moment) {
    let content = Content::new(body.to_owned(), BTreeMap::new()).unwrap();
    queues
        .send(&name("jobs"), Uuid::new_v4(), content, None, now)
        .unwrap();
}

fn receive(queues: &mut Queues, queue: &str, now: Moment) -> Vec<(Receipt, String, u32)> {
    let received = queues.receive(&name(queue), 10, now).unwrap();
    received
        .into_iter()
        .map(|(receipt, message)| (receipt, message.content.body, message.receives))
        .collect()
}

#[test]
fn a_received_message_is_hidden_until_its_time_is_up() {
    let mut queues = queues(30, 10);
    send(&mut queues, "a", START);
    let first = receive(&mut queues, "jobs", START);
    assert_eq!((first[0].1.as_str(), first[0].2), ("a", 1));
    assert_eq!(receive(&mut queues, "jobs", Moment(START.0 + 29_999)), []);
    let second = receive(&mut queues, "jobs", START.plus_seconds(30));
    assert_eq!(second[0].2, 2);
    assert_ne!(second[0].0, first[0].0, "each receive has its receipt");
}

#[test]
fn an_outdated_receipt_deletes_nothing_and_a_late_one_does() {
    let mut queues = queues(30, 10);
    send(&mut queues, "a", START);
    let first = receive(&mut queues, "jobs", START)[0].0;
    let later = START.plus_seconds(31);
    let second = receive(&mut queues, "jobs", later)[0].0;
    queues.delete(&name("jobs"), first).unwrap();
    let much_later = later.plus_seconds(31);
    queues.delete(&name("jobs"), second).unwrap();
    assert_eq!(receive(&mut queues, "jobs", much_later), []);
}

#[test]
fn messages_received_too_often_go_to_the_dead_letters() {
    let mut queues = queues(1, 2);
    send(&mut queues, "a", START);
    for receives in 1..=2 {
        let now = START.plus_seconds(receives);
        assert_eq!(receive(&mut queues, "jobs", now)[0].2, receives);
    }
    let now = START.plus_seconds(3);
    assert_eq!(receive(&mut queues, "dead", now), []);
    assert_eq!(receive(&mut queues, "jobs", now), []);
    let dead = receive(&mut queues, "dead", now);
    assert_eq!((dead[0].1.as_str(), dead[0].2), ("a", 1));
}

#[test]
fn visibility_changes_to_nothing_or_to_the_queues_own() {
    let mut queues = queues(30, 10);
    send(&mut queues, "a", START);
    let (receipt, ..) = receive(&mut queues, "jobs", START)[0];
    let mut change = |seconds, now| {
        queues
            .change_visibility(&name("jobs"), receipt, seconds, now)
            .map_err(|fault| fault.code)
    };
    assert_eq!(change(10, START), Err(Code::InvalidParameterValue));
    assert_eq!(change(30, START.plus_seconds(20)), Ok(()));
    assert_eq!(change(0, START.plus_seconds(40)), Ok(()));
    assert_eq!(
        change(0, START.plus_seconds(40)),
        Err(Code::MessageNotInflight)
    );
    let again = receive(&mut queues, "jobs", START.plus_seconds(40));
    assert_eq!(again.len(), 1);
}

#[test]
fn messages_that_nobody_deletes_are_not_kept_for_ever() {
    let mut queues = queues(30, 10);
    send(&mut queues, "old", START);
    send(&mut queues, "young", START.plus_seconds(1));
    let now = START.plus_seconds(Attributes::default().retention_seconds);
    let left = receive(&mut queues, "jobs", now);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1, "young");
}
