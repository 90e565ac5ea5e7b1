//! Any list of operations, against a queue said as plainly as possible; with restarts in between.

use proptest::prelude::*;

use super::*;
use crate::queue::message::Message;

const VISIBILITY: u32 = 5;
const MAX_RECEIVES: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Send,
    Receive(usize),
    /// The receipt of that receive, counted from the last.
    Delete(usize),
    Release(usize),
    Wait(u32),
    Purge,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Send),
        4 => (1_usize..=10).prop_map(Step::Receive),
        2 => (0_usize..8).prop_map(Step::Delete),
        2 => (0_usize..8).prop_map(Step::Release),
        3 => (0_u32..8).prop_map(Step::Wait),
        1 => Just(Step::Purge),
        2 => Just(Step::Restart),
    ]
}

/// What a queue is, said as plainly as possible: a list that is searched from the front.
#[derive(Default)]
struct Plain {
    messages: Vec<PlainMessage>,
    dead: Vec<String>,
}

struct PlainMessage {
    body: String,
    visible_from: Moment,
    receives: u32,
}

impl Plain {
    fn receive(&mut self, most: usize, now: Moment) -> Vec<(String, u32)> {
        let mut received = Vec::new();
        while received.len() < most {
            let due = |message: &&mut PlainMessage| message.visible_from <= now;
            let due = self.messages.iter_mut().filter(due);
            // Of those that became visible at the same time, the one sent first.
            let Some(message) = due.min_by_key(|message| message.visible_from) else {
                break;
            };
            if message.receives >= MAX_RECEIVES {
                let body = message.body.clone();
                self.messages.retain(|message| message.body != body);
                self.dead.push(body);
                continue;
            }
            message.receives += 1;
            message.visible_from = now.plus_seconds(VISIBILITY);
            received.push((message.body.clone(), message.receives));
        }
        received
    }

    fn find(&mut self, receipt: &(String, u32)) -> Option<usize> {
        self.messages
            .iter()
            .position(|message| (&message.body, message.receives) == (&receipt.0, receipt.1))
    }
}

/// What is on disk: changes applied to a plain map.
#[derive(Default)]
pub(super) struct Disk {
    queues: BTreeMap<QueueName, Kept>,
    messages: BTreeMap<(QueueName, Number), Message>,
    sent: BTreeMap<(QueueName, DeduplicationId), Sent>,
}

impl Disk {
    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Queue(name, kept) => {
                    self.queues.insert(name, kept);
                }
                Change::NoQueue(name) => {
                    self.queues.remove(&name);
                    self.messages.retain(|(queue, _), _| *queue != name);
                    self.sent.retain(|(queue, _), _| *queue != name);
                }
                Change::Message(name, number, message) => {
                    self.messages.insert((name, number), message);
                }
                Change::NoMessage(name, number) => {
                    assert!(self.messages.remove(&(name, number)).is_some());
                }
                Change::NoMessages(name) => {
                    self.messages.retain(|(queue, _), _| *queue != name);
                }
                Change::Sent(name, id, sent) => {
                    self.sent.insert((name, id), sent);
                }
                Change::NoSent(name, id) => {
                    assert!(self.sent.remove(&(name, id)).is_some());
                }
            }
        }
    }

    pub(super) fn restore(&self) -> Queues {
        let messages = self.messages.iter();
        let sent = self.sent.iter();
        Queues::restore(
            self.queues.clone(),
            messages.map(|((name, number), message)| (name.clone(), *number, message.clone())),
            sent.map(|((name, id), sent)| (name.clone(), id.clone(), *sent)),
        )
    }
}

proptest! {
    #[test]
    fn the_same_comes_out_across_restarts(steps in prop::collection::vec(step(), 1..60)) {
        check(steps);
    }
}

fn check(steps: Vec<Step>) {
    let jobs = name("jobs");
    let mut queues = queues(VISIBILITY, MAX_RECEIVES);
    let mut plain = Plain::default();
    let mut disk = Disk::default();
    let mut now = START;
    let mut sent = 0;
    let mut receipts: Vec<(Receipt, (String, u32))> = Vec::new();
    for step in steps {
        match step {
            Step::Send => {
                let body = sent.to_string();
                sent += 1;
                send(&mut queues, &body, now);
                let visible_from = now;
                plain.messages.push(PlainMessage {
                    body,
                    visible_from,
                    receives: 0,
                });
            }
            Step::Receive(most) => {
                let received = queues.receive(&jobs, most, now).unwrap();
                let received: Vec<_> = received
                    .into_iter()
                    .map(|(receipt, message)| (receipt, (message.content.body, message.receives)))
                    .collect();
                let bodies: Vec<_> = received
                    .iter()
                    .map(|(_, receive)| receive.clone())
                    .collect();
                assert_eq!(bodies, plain.receive(most, now));
                receipts.extend(received);
            }
            Step::Delete(back) => {
                let Some((receipt, receive)) = receipts.iter().rev().nth(back) else {
                    continue;
                };
                queues.delete(&jobs, *receipt).unwrap();
                if let Some(index) = plain.find(receive) {
                    plain.messages.remove(index);
                }
            }
            Step::Release(back) => {
                let Some((receipt, receive)) = receipts.iter().rev().nth(back) else {
                    continue;
                };
                let released = queues.change_visibility(&jobs, *receipt, 0, now).is_ok();
                let index = plain.find(receive);
                let message = index.and_then(|index| plain.messages.get_mut(index));
                let in_flight = message.filter(|message| message.visible_from > now);
                assert_eq!(released, in_flight.is_some());
                if let Some(message) = in_flight {
                    message.visible_from = now;
                }
            }
            Step::Wait(seconds) => now = now.plus_seconds(seconds),
            Step::Purge => {
                queues.purge(&jobs).unwrap();
                plain.messages.clear();
            }
            Step::Restart => {
                disk.apply(queues.take_changes());
                queues = disk.restore();
            }
        }
    }
    let dead = queues.receive(&name("dead"), usize::MAX, now).unwrap();
    let mut dead: Vec<_> = dead
        .into_iter()
        .map(|(_, message)| message.content.body)
        .collect();
    dead.sort();
    plain.dead.sort();
    assert_eq!(dead, plain.dead);
}
