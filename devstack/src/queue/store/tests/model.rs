//! Random sequences of actions, with restarts, compared with a simple model of a queue.

use proptest::prelude::*;

use super::*;

const VISIBILITY: u32 = 5;
const MAX_RECEIVES: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Send,
    Receive(usize),
    /// Deletes the message of a receive, counted from the last.
    Delete(usize),
    /// Releases the message of a receive, counted from the last.
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

/// A queue as a list in the order of sending.
#[derive(Default)]
struct Model {
    messages: Vec<ModelMessage>,
    dead: Vec<String>,
}

struct ModelMessage {
    body: String,
    visible_from: Moment,
    receives: u32,
}

impl Model {
    fn receive(&mut self, limit: usize, now: Moment) -> Vec<(String, u32)> {
        let mut received = Vec::new();
        while received.len() < limit {
            let is_visible = |message: &ModelMessage| message.visible_from <= now;
            let Some(index) = self.messages.iter().position(is_visible) else {
                break;
            };
            if self.messages[index].receives >= MAX_RECEIVES {
                self.dead.push(self.messages.remove(index).body);
                continue;
            }
            let message = &mut self.messages[index];
            message.receives += 1;
            message.visible_from = now.plus_seconds(VISIBILITY);
            received.push((message.body.clone(), message.receives));
        }
        received
    }

    fn find(&self, receive: &(String, u32)) -> Option<usize> {
        self.messages
            .iter()
            .position(|message| (&message.body, message.receives) == (&receive.0, receive.1))
    }
}

proptest! {
    #[test]
    fn the_store_behaves_like_the_model(steps in prop::collection::vec(step(), 1..60)) {
        check(steps);
    }
}

fn check(steps: Vec<Step>) {
    let mut fixture = Fixture::new(VISIBILITY, MAX_RECEIVES);
    let mut model = Model::default();
    let mut now = START;
    let mut sent = 0;
    let mut receipts: Vec<(Receipt, (String, u32))> = Vec::new();
    for step in steps {
        match step {
            Step::Send => {
                let body = sent.to_string();
                sent += 1;
                fixture.send(&body, now);
                model.messages.push(ModelMessage {
                    body,
                    visible_from: now,
                    receives: 0,
                });
            }
            Step::Receive(limit) => {
                let received = fixture.receive(&fixture.jobs, limit, now);
                let received: Vec<_> = received
                    .into_iter()
                    .map(|(receipt, body, receives)| (receipt, (body, receives)))
                    .collect();
                let bodies: Vec<_> = received
                    .iter()
                    .map(|(_, receive)| receive.clone())
                    .collect();
                assert_eq!(bodies, model.receive(limit, now));
                receipts.extend(received);
            }
            Step::Delete(back) => {
                let Some((receipt, receive)) = receipts.iter().rev().nth(back) else {
                    continue;
                };
                fixture.delete(*receipt);
                if let Some(index) = model.find(receive) {
                    model.messages.remove(index);
                }
            }
            Step::Release(back) => {
                let Some((receipt, receive)) = receipts.iter().rev().nth(back) else {
                    continue;
                };
                let released = fixture.change_visibility(*receipt, 0, now).is_ok();
                let index = model.find(receive);
                let message = index.and_then(|index| model.messages.get_mut(index));
                let in_flight = message.filter(|message| message.visible_from > now);
                assert_eq!(released, in_flight.is_some());
                if let Some(message) = in_flight {
                    message.visible_from = now;
                }
            }
            Step::Wait(seconds) => now = now.plus_seconds(seconds),
            Step::Purge => {
                fixture
                    .write(|messages| messages.purge(&fixture.jobs))
                    .unwrap();
                model.messages.clear();
            }
            Step::Restart => fixture.reopen(),
        }
    }
    let dead = fixture.receive(&fixture.dead, usize::MAX, now);
    let mut dead: Vec<_> = dead.into_iter().map(|(_, body, _)| body).collect();
    dead.sort();
    model.dead.sort();
    assert_eq!(dead, model.dead);
}
