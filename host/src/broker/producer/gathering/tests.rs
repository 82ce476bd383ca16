use std::sync::mpsc::{self, Receiver, Sender};

use super::*;

/// Gathers numbers, and tells which were sent; one may be refused once.
struct Desk {
    gathering: Gathering<u32>,
    sender: Sender<u32>,
    sent: Receiver<u32>,
    refused: Arc<Mutex<Option<u32>>>,
}

impl Desk {
    fn new(refused: Option<u32>) -> Self {
        let (sender, sent) = mpsc::channel();
        Self { gathering: Gathering::new(), sender, sent, refused: Arc::new(Mutex::new(refused)) }
    }

    /// As the producer does it.
    fn send(&self, number: u32, on_their_way: usize) {
        let haste = if number / 100 % 2 == 1 { Haste::Soon } else { Haste::Later };
        let departure = self.gathering.join(number, haste, on_their_way, || {
            let (sender, refused) = (self.sender.clone(), self.refused.clone());
            move |number| {
                if refused.lock().expect("nobody panics").take_if(|refused| *refused == number).is_some() {
                    return Err(number);
                }
                sender.send(number).map_err(|failed| failed.0)
            }
        });
        match departure {
            Departure::Now(number) => self.sender.send(number).expect("the desk reads"),
            Departure::Later => {}
            Departure::Full(number) => panic!("no room for {number}"),
        }
    }

    fn sent(&self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.sent.recv().expect("it is sent some time")).collect()
    }
}

#[test]
fn few_go_at_once() {
    let desk = Desk::new(None);
    for number in 0..10 {
        desk.send(number, MANY - 1);
        assert_eq!(desk.sent.try_recv(), Ok(number));
    }
    assert!(!desk.gathering.shared.state().has_thread, "nothing has waited");
}

#[test]
fn many_go_together_and_in_order() {
    let desk = Desk::new(Some(17));
    for number in 0..10_000 {
        // The client was empty from the fiftieth on, but nothing may overtake those that wait.
        desk.send(number, if number < 50 { MANY } else { 0 });
    }
    assert_eq!(desk.sent(10_000), (0..10_000).collect::<Vec<_>>());
    while desk.gathering.waiting() > 0 {
        thread::yield_now();
    }
    desk.send(10_000, 0);
    assert_eq!(desk.sent.try_recv(), Ok(10_000), "it goes at once again");
}

#[test]
fn who_has_no_time_overtakes() {
    let desk = Desk::new(None);
    (0..3).for_each(|number| desk.send(number, MANY));
    let departure = desk.gathering.join(3, Haste::Now, MANY, || Err);
    assert!(matches!(departure, Departure::Now(3)));
    assert_eq!(desk.sent(3), [0, 1, 2]);
}

#[test]
fn what_waits_is_bounded() {
    let gathering = Gathering::new();
    let mut refused = None;
    // Of a client whose queue stays full, one at a time may be on its way out.
    for number in 0..3 * ROOM {
        if let Departure::Full(number) = gathering.join(number, Haste::Soon, MANY, || Err) {
            refused = Some(number);
            break;
        }
    }
    assert!(refused.is_some_and(|number| number >= ROOM), "{refused:?}");
}

#[test]
fn what_waits_goes_even_when_nobody_gathers_any_more() {
    let desk = Desk::new(None);
    (0..3).for_each(|number| desk.send(number, MANY));
    drop(desk.gathering);
    assert_eq!([(); 3].map(|()| desk.sent.recv()), [Ok(0), Ok(1), Ok(2)]);
}
