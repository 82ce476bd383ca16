//! What guests write, as the host's log shows it.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::*;

/// Every event of the target `guest` in one line: the message, and its fields by name.
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

/// Mischief with a budget of its own: the shared one is what other tests use up.
fn mischief(bytes_per_second: u64) -> Arc<Callable> {
    Arc::new(Callable {
        tenant: "acme".into(),
        handler: "mischief".into(),
        artifact: MISCHIEF.artifact.clone(),
        env: Vec::new(),
        log: Arc::new(LogBudget::new(bytes_per_second)),
    })
}

/// What is logged by one call.
fn logged(callable: &Arc<Callable>, request: http::Request<Bytes>, limits: &CallLimits) -> Vec<String> {
    let events = Events::default();
    let subscriber = tracing_subscriber::registry().with(events.clone());
    tracing::subscriber::with_default(subscriber, || {
        // Its outcome is another test's.
        let _ = on_a_worker(async { invoker().call(callable, request, limits).await });
    });
    std::mem::take(&mut *events.0.lock().expect("the events"))
}

#[test]
fn lines_come_one_by_one_with_the_handlers_name() {
    let lines = logged(&mischief(64 << 10), post("/log", "first\nsecond \u{1b}[31m\r\nthird"), &LIMITS);
    let from = |stream: &str| {
        let of_stream = lines.iter().filter(|line| line.contains(&format!("stream=\"{stream}\"")));
        of_stream.map(String::as_str).collect::<Vec<_>>()
    };
    for stream in ["stdout", "stderr"] {
        let lines = from(stream);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].contains("message=first ") && lines[0].contains("tenant=acme handler=mischief"), "{lines:?}");
        assert!(lines[1].contains("message=second \\u{1b}[31m "), "{lines:?}");
        assert!(lines[2].contains("message=third "), "{lines:?}");
    }
}

#[test]
fn a_flood_is_cut_and_its_guest_goes_on() {
    let limits = CallLimits { max_cpu: Duration::from_millis(50), ..LIMITS };
    let began = Instant::now();
    let lines = logged(&mischief(1000), get("/endless-log"), &limits);
    let allowed = 1000 + began.elapsed().as_millis() as usize;
    let bytes: usize = lines.iter().filter(|line| line.contains("message=line ")).count() * "line 1 of many".len();
    assert!(bytes > 500 && bytes <= allowed, "{bytes} bytes in {} lines, and {allowed} are allowed", lines.len());
    let reports = lines.iter().filter(|line| line.contains("bytes of guest output dropped")).count();
    assert_eq!(reports, 1, "{lines:?}");
}

#[test]
fn a_line_without_an_end_is_cut_and_shown_when_the_call_ends() {
    let lines = logged(&mischief(64 << 10), post("/log", "x".repeat(20_000)), &LIMITS);
    let stdout: Vec<_> = lines.iter().filter(|line| line.contains("stream=\"stdout\"")).collect();
    assert_eq!(stdout.len(), 3, "two full lines and the rest");
}
