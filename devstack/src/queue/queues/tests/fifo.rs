//! A queue whose messages come in order.

use super::model::Disk;
use super::*;

fn queues_in_order(by_content: bool) -> Queues {
    let mut queues = Queues::default();
    for (queue, max_receives) in [("dead.fifo", None), ("jobs.fifo", Some(2))] {
        let attributes = Attributes {
            content_based_deduplication: by_content,
            redrive: max_receives.map(|max_receives| Redrive {
                dead_letters: name("dead.fifo"),
                max_receives,
            }),
            ..Attributes::default()
        };
        queues.create(name(queue), attributes, START).unwrap();
    }
    queues
}

fn send(queues: &mut Queues, body: &str, id: Option<&str>, now: Moment) -> Result<Sent, Code> {
    let content = Content::new(body.to_owned(), BTreeMap::new()).unwrap();
    let id = id.map(|id| DeduplicationId::parse(id).unwrap());
    queues
        .send(&name("jobs.fifo"), Uuid::new_v4(), content, id, now)
        .map_err(|fault| fault.code)
}

#[test]
fn a_message_holds_back_all_others_until_it_is_deleted() {
    let mut queues = queues_in_order(true);
    for body in ["a", "b", "c"] {
        send(&mut queues, body, None, START).unwrap();
    }
    let first = receive(&mut queues, "jobs.fifo", START);
    assert_eq!((first.len(), first[0].1.as_str()), (1, "a"));
    let later = START.plus_seconds(29);
    assert_eq!(receive(&mut queues, "jobs.fifo", later), []);
    let visible_from = queues.next_visible_from(&name("jobs.fifo"));
    assert_eq!(visible_from, Some(START.plus_seconds(30)));

    // Not deleted in time: it is the first again, before those that were never received.
    let later = START.plus_seconds(30);
    let again = receive(&mut queues, "jobs.fifo", later);
    assert_eq!((again[0].1.as_str(), again[0].2), ("a", 2));
    queues.delete(&name("jobs.fifo"), again[0].0).unwrap();
    let second = receive(&mut queues, "jobs.fifo", later);
    assert_eq!(second[0].1, "b");

    // What nobody can cope with goes to the dead letters, and then the next one comes.
    receive(&mut queues, "jobs.fifo", later.plus_seconds(30));
    let third = receive(&mut queues, "jobs.fifo", later.plus_seconds(60));
    assert_eq!(third[0].1, "c");
    let dead = receive(&mut queues, "dead.fifo", later.plus_seconds(60));
    assert_eq!(dead[0].1, "b");
}

#[test]
fn a_message_that_is_sent_again_within_five_minutes_is_not_taken_again() {
    let mut queues = queues_in_order(false);
    let mut disk = Disk::default();
    let first = send(&mut queues, "a", Some("1"), START).unwrap();
    let (receipt, ..) = receive(&mut queues, "jobs.fifo", START)[0];
    queues.delete(&name("jobs.fifo"), receipt).unwrap();
    // Deleted or not, before a restart and after it, and whatever its body is.
    for body in ["a", "b"] {
        let now = START.plus_seconds(299);
        assert_eq!(send(&mut queues, body, Some("1"), now), Ok(first));
        disk.apply(queues.take_changes());
        queues = disk.restore();
        assert_eq!(receive(&mut queues, "jobs.fifo", now), []);
    }
    let now = START.plus_seconds(300);
    let second = send(&mut queues, "a", Some("1"), now).unwrap();
    assert!(second.number > first.number);
    assert_eq!(receive(&mut queues, "jobs.fifo", now).len(), 1);
    // What is over is forgotten on disk, too.
    send(&mut queues, "c", Some("2"), now.plus_seconds(300)).unwrap();
    disk.apply(queues.take_changes());
}

#[test]
fn what_a_message_is_known_by_is_said_or_its_body() {
    let missing = send(&mut queues_in_order(false), "a", None, START);
    assert_eq!(missing, Err(Code::InvalidParameterValue));
    let mut queues = queues_in_order(true);
    let first = send(&mut queues, "a", None, START).unwrap();
    assert_eq!(send(&mut queues, "a", None, START), Ok(first));
    let other = send(&mut queues, "a", Some("mine"), START).unwrap();
    assert_ne!(other.id, first.id);
}

#[test]
fn dead_letters_come_in_order_as_well_or_neither_do() {
    let mut queues = queues_in_order(false);
    queues
        .create(name("dead"), Attributes::default(), START)
        .unwrap();
    for (queue, dead_letters) in [("x.fifo", "dead"), ("x", "dead.fifo")] {
        let attributes = Attributes {
            redrive: Some(Redrive {
                dead_letters: name(dead_letters),
                max_receives: 1,
            }),
            ..Attributes::default()
        };
        let refused = queues.create(name(queue), attributes, START).unwrap_err();
        assert_eq!(refused.code, Code::InvalidAttributeValue);
    }
}
