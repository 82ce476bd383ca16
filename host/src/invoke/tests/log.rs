//! What guests write, as the host's log shows it.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::*;

/// The events of the target `guest`, each in one line: the message, and its fields by name.
///
/// One subscriber for the process: with one a test, what a thread without any logs first is switched off for all.
static EVENTS: LazyLock<Events> = LazyLock::new(|| {
    let events = Events::default();
    let subscriber = tracing_subscriber::registry().with(events.clone());
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
    events
});

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, "{}={value:?} ", field.name());
            }
        }
        if event.metadata().target() == "guest" {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().expect("the events").push(text.0);
        }
    }
}

/// What mischief, of either version of WASI, logs in one call, as the handler of that name and so many bytes a second.
fn logged(
    mischief: &Callable,
    handler: &str,
    bytes_per_second: u64,
    request: http::Request<Bytes>,
    limits: &CallLimits,
) -> Vec<String> {
    let events = EVENTS.clone();
    let callable = Arc::new(Callable {
        tenant: "acme".into(),
        handler: handler.into(),
        chain: mischief.chain.clone(),
        max_next_calls: 1,
        reuse: Reuse::default(),
        env: Vec::new(),
        log: Arc::new(LogBudget::new(bytes_per_second)),
        outbound: Arc::new(Outbound::closed()),
    });
    // Its outcome is another test's.
    let _ = on_a_worker(async { invoker().call(&callable, request, limits).await });
    let name = format!("handler={handler} ");
    let lines = events.0.lock().expect("the events");
    lines.iter().filter(|line| line.contains(&name)).cloned().collect()
}

#[test]
fn lines_come_one_by_one_with_the_handlers_name() {
    for (mischief, handler) in [(&*MISCHIEF, "lines"), (&*MISCHIEF_P3, "lines-p3")] {
        let request = post("/log", "first\nsecond \u{1b}[31m\r\nthird");
        let lines = logged(mischief, handler, 64 << 10, request, &LIMITS);
        for stream in ["stdout", "stderr"] {
            let of_stream = lines.iter().filter(|line| line.contains(&format!("stream=\"{stream}\"")));
            let lines: Vec<_> = of_stream.map(String::as_str).collect();
            assert_eq!(lines.len(), 3, "{lines:?}");
            let name = format!("tenant=acme handler={handler}");
            assert!(lines[0].contains("message=first ") && lines[0].contains(&name), "{lines:?}");
            assert!(lines[1].contains("message=second \\u{1b}[31m "), "{lines:?}");
            assert!(lines[2].contains("message=third "), "{lines:?}");
        }
    }
}

#[test]
fn a_flood_is_cut_and_its_guest_goes_on() {
    let limits = CallLimits { max_cpu: Duration::from_millis(50), ..LIMITS };
    for (mischief, handler) in [(&*MISCHIEF, "flood"), (&*MISCHIEF_P3, "flood-p3")] {
        let began = Instant::now();
        let lines = logged(mischief, handler, 1000, get("/endless-log"), &limits);
        let allowed = 1000 + began.elapsed().as_millis() as usize;
        let bytes: usize = lines.iter().filter(|line| line.contains("message=line ")).count() * "line 1 of many".len();
        assert!(bytes > 500 && bytes <= allowed, "{bytes} bytes in {} lines, and {allowed} are allowed", lines.len());
        let reports = lines.iter().filter(|line| line.contains("bytes of guest output dropped")).count();
        assert_eq!(reports, 1, "{lines:?}");
    }
}

#[test]
fn a_line_without_an_end_is_cut_and_shown_when_the_call_ends() {
    for (mischief, handler) in [(&*MISCHIEF, "long-line"), (&*MISCHIEF_P3, "long-line-p3")] {
        let lines = logged(mischief, handler, 64 << 10, post("/log", "x".repeat(20_000)), &LIMITS);
        let stdout: Vec<_> = lines.iter().filter(|line| line.contains("stream=\"stdout\"")).collect();
        assert_eq!(stdout.len(), 3, "two full lines and the rest");
    }
}
