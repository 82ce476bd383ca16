use std::cell::RefCell;
use std::thread;

use super::*;

type Log = Rc<RefCell<Vec<&'static str>>>;

const LONG_TURN: Duration = Duration::from_micros(700);

struct Worker {
    executor: Executor<(), ()>,
    mailbox: Arc<Mailbox<()>>,
    waits: Arc<Waits>,
    log: Log,
}

impl Worker {
    fn new() -> Self {
        let (mailbox, waits) = (Arc::<Mailbox<()>>::default(), Arc::<Waits>::default());
        Self { executor: Executor::new(mailbox.clone(), waits.clone()), mailbox, waits, log: Log::default() }
    }

    fn spawn(&mut self, tenant: TenantId, task: impl Future<Output = ()> + 'static) {
        self.executor.spawn(Share { tenant, weight: Weight::ONE }, Box::pin(task));
    }

    /// A task that takes so many turns, each of so much of this thread's time.
    fn spawn_busy(&mut self, tenant: TenantId, name: &'static str, turns: usize, each: Duration) {
        let log = self.log.clone();
        self.spawn(tenant, async move {
            for _ in 0..turns {
                compute(each);
                log.borrow_mut().push(name);
                give_way().await;
            }
        });
    }

    /// Up to so many turns, until nobody wants one. Returns whose they were.
    fn run(&mut self, turns: usize) -> Vec<&'static str> {
        for _ in 0..turns {
            let mut mail = Mail::default();
            self.mailbox.collect(&mut mail);
            self.executor.wake(&mut mail);
            if matches!(self.executor.turn(), Turn::None) {
                break;
            }
        }
        self.log.take()
    }
}

/// By the thread's own clock, so that a busy machine makes no difference.
fn compute(time: Duration) {
    let end = cpu_time() + time;
    while cpu_time() < end {}
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("a thread's time is positive")
}

#[test]
fn a_short_task_waits_for_one_long_one_and_not_for_all() {
    let mut worker = Worker::new();
    for _ in 0..64 {
        worker.spawn_busy(1, "long", 20, LONG_TURN);
    }
    // Each of them has shown by now that it is long: until then it takes turns with those that have.
    worker.run(2 * 64);
    worker.spawn_busy(1, "short", 5, Duration::ZERO);
    let turns = worker.run(12);
    assert_eq!(turns.iter().filter(|name| **name == "short").count(), 5, "{turns:?}");
}

#[test]
fn tenants_share_the_time_whatever_their_tasks() {
    let mut worker = Worker::new();
    for _ in 0..64 {
        worker.spawn_busy(1, "many", 100, LONG_TURN);
    }
    worker.spawn_busy(2, "one", 1000, LONG_TURN / 2);
    let turns = worker.run(150);
    let of_one = turns.iter().filter(|name| **name == "one").count();
    assert!((80..=120).contains(&of_one), "{of_one} of {}", turns.len());
}

#[test]
fn a_tenant_that_wants_little_is_next() {
    let mut worker = Worker::new();
    for _ in 0..64 {
        worker.spawn_busy(1, "much", 100, LONG_TURN);
    }
    worker.run(10);
    for _ in 0..10 {
        worker.spawn_busy(2, "little", 1, Duration::ZERO);
        assert_eq!(worker.run(1), ["little"]);
        worker.run(10);
    }
}

#[test]
fn a_task_that_is_woken_while_it_waits_for_its_turn_does_not_wait_for_all_before_it() {
    let mut worker = Worker::new();
    for _ in 0..64 {
        worker.spawn_busy(1, "others", 20, LONG_TURN);
    }
    let (log, bell) = (worker.log.clone(), Rc::new(RefCell::new(None::<Waker>)));
    worker.spawn(1, {
        let bell = bell.clone();
        async move {
            poll_fn(|context| {
                *bell.borrow_mut() = Some(context.waker().clone());
                Poll::Ready(())
            })
            .await;
            compute(LONG_TURN);
            give_way().await;
            log.borrow_mut().push("woken");
        }
    });
    worker.run(2 * 65);
    if let Some(waker) = bell.take() {
        waker.wake();
    }
    let turns = worker.run(2);
    assert!(turns.contains(&"woken"), "{turns:?}");
}

#[test]
fn a_task_knows_how_long_others_have_kept_it_waiting() {
    let mut worker = Worker::new();
    let waited = Rc::new(Cell::new(Duration::ZERO));
    worker.spawn_busy(1, "others", 1, 20 * LONG_TURN);
    worker.run(1);
    worker.spawn_busy(2, "its own", 1, 10 * LONG_TURN);
    worker.spawn(2, {
        let (waits, waited) = (worker.waits.clone(), waited.clone());
        async move {
            give_way().await;
            waited.set(waits.get());
        }
    });
    worker.run(2);
    worker.spawn_busy(3, "others", 1, 5 * LONG_TURN);
    worker.run(4);
    // What its own tenant had does not count; what this machine did meanwhile does.
    assert!(waited.get() >= 5 * LONG_TURN, "{waited:?}");
}

#[test]
fn a_task_is_woken_from_another_thread_and_ends() {
    let (mut worker, ended) = (Worker::new(), Rc::new(Cell::new(false)));
    let (send, receive) = tokio::sync::oneshot::channel::<()>();
    worker.spawn(1, {
        let ended = ended.clone();
        async move {
            receive.await.expect("it is sent");
            ended.set(true);
        }
    });
    worker.run(10);
    assert!(!ended.get());
    assert!(worker.mailbox.fall_asleep());
    thread::spawn(move || send.send(())).join().expect("a thread").expect("it waits");
    assert!(!worker.mailbox.fall_asleep(), "there is mail");
    worker.run(10);
    assert!(ended.get() && worker.executor.tasks.is_empty());
}

#[test]
fn an_invited_tenant_is_told_when_it_is_its_turn() {
    let mut worker = Worker::new();
    worker.spawn_busy(1, "busy", 100, LONG_TURN);
    worker.run(3);
    worker.executor.invite(Share { tenant: 7, weight: Weight::ONE });
    assert!(matches!(worker.executor.turn(), Turn::Begin(7)));
}
