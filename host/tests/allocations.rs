//! What a record costs in allocations, room by room: a figure that depends on no machine, so that a dearer way does not
//! come in unseen. Where a number here is too small, look what allocates first; a larger one needs a reason.

#[path = "../benches/support"]
mod support {
    pub(crate) mod order;
    pub(crate) mod record;
}

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use callgate::invoke::{
    self, Attempts, CacheSettings, Callable, CompileIn, Compiler, Invoker, Link, LogBudget, Outbound, Reuse, Settings,
    Watchdog,
};
use callgate_core::disposition::{Ask, Disposition, decide};
use callgate_core::limits::CallLimits;
use callgate_core::offsets::Offsets;
use callgate_core::order::{Lanes, Ordering};
use callgate_core::record::Record;
use callgate_core::reply::{ReplyPolicy, reply, return_address};
use callgate_core::request::{RequestScope, to_request};
use callgate_core::response::check;
use callgate_core::route::{Instances, TopicList};
use http::{Request, Response};
use support::record::{DEADLINE, REQUEST_LIMITS, record, route};

const LIMITS: CallLimits = CallLimits {
    deadline: DEADLINE,
    patience: Duration::ZERO,
    max_cpu: Duration::from_secs(60),
    max_memory: 64 << 20,
    max_request_body: 4 << 20,
    max_response_body: 4 << 20,
    max_headers: 256,
    max_header_bytes: 64 << 10,
};
const ORDER_BYTES: usize = 1024;

fn policy() -> ReplyPolicy {
    let list = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
    ReplyPolicy::new(
        list(&["reply-to", "kafka_replyTopic", "zilla:reply-to"]),
        list(&["correlation-id", "kafka_correlationId", "zilla:correlation-id", "correlationid"]),
        TopicList::new(["cafe.*"]).expect("a list"),
        16,
    )
}

fn request(record: &Record) -> Request<Bytes> {
    let scope = RequestScope { handler: "coffee", attempt: 1, limits: &REQUEST_LIMITS, span: Some([7; 8]) };
    to_request(record, &route(), &scope).expect("a request")
}

/// Asserts how often something allocates at most.
#[track_caller]
fn at_most(most: u64, what: impl FnOnce()) {
    let allocations = measure(what).count_total;
    assert!(allocations <= most, "{allocations} allocations, {most} at most");
}

#[test]
fn a_request() {
    let (record, route) = (record(ORDER_BYTES), route());
    let scope = RequestScope { handler: "coffee", attempt: 1, limits: &REQUEST_LIMITS, span: Some([7; 8]) };
    at_most(9, || drop(std::hint::black_box(to_request(&record, &route, &scope).expect("a request"))));
}

#[test]
fn an_outcome_and_its_reply() {
    let (record, policy, route) = (record(ORDER_BYTES), policy(), route());
    let response = Response::builder()
        .status(201)
        .header("content-type", "application/json")
        .body(Bytes::from_static(br#"{"drink":"flat white"}"#))
        .expect("a response");
    at_most(8, || {
        let address = return_address(&record, None, &policy).expect("no fault").expect("an address");
        let steering = check(&response).expect("a response");
        let ask = Ask {
            addressed: true,
            attempt: 1,
            client_errors: route.client_errors,
            retry: &route.retry,
            jitter: 0.5,
            now: Duration::ZERO,
        };
        assert!(matches!(decide(Ok(&response), &ask), Disposition::Reply));
        std::hint::black_box(reply(&record, &address, &response, &steering, &policy, Some([7; 8])));
    });
}

#[test]
fn a_place_in_lane_and_offsets() {
    let mut offsets = Offsets::new(1, 0, Default::default());
    let mut lanes = Lanes::new();
    let lane = lanes.admit(Ordering::Partition, None, (), 0).expect("the lane was idle");
    let mut through = |offset| {
        let ticket = offsets.begin(offset).expect("a new record");
        assert_eq!(lanes.admit(Ordering::Partition, None, (), 0), None);
        assert_eq!(lanes.next(&lane), Some(()));
        assert!(offsets.end(ticket));
    };
    (0..1000).for_each(&mut through);
    at_most(0, || (1000..2000).for_each(&mut through));
}

/// A call in a fresh instance, and in one that has served before.
#[test]
fn a_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { slots: 4, warm_memory: 64 << 20, idle_memory: 64 << 20, max_memory: 256 << 20 };
    let watchdog = Watchdog::start().expect("a watchdog");
    let callable = coffee(folder.path());
    let runtime = invoke::runtime().expect("a runtime");
    let invoker = Invoker::new(&settings, &watchdog).expect("an invoker");
    let record = record(ORDER_BYTES);
    let call = |instances| {
        let request = request(&record);
        measure(|| {
            let mut attempts = Attempts::default();
            let response = runtime.block_on(invoker.call_in(&callable, request, &LIMITS, instances, &mut attempts));
            assert_eq!(response.expect("a response").status(), 201);
        })
        .count_total
    };
    for (instances, most) in [(Instances::Fresh, 110), (Instances::Reuse { records: 128 }, 63)] {
        // The first ones fill what is kept.
        let [.., allocations] = [(); 4].map(|()| call(instances));
        assert!(allocations <= most, "{instances:?}: {allocations} allocations, {most} at most");
    }
}

fn coffee(folder: &Path) -> Arc<Callable> {
    let component = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples/out/coffee-rust.wasm"))
        .expect("`make -C guest-examples rust` builds coffee");
    let cache = CacheSettings { folder: folder.join("code"), key: None };
    let compiler = Compiler::new(&cache, CompileIn::ThisProcess).expect("a cache");
    let artifact = Arc::new(compiler.load(&component).expect("it compiles"));
    Arc::new(Callable {
        tenant: "cafe".into(),
        handler: "coffee".into(),
        chain: vec![Link { name: "coffee".into(), artifact }],
        max_next_calls: 0,
        env: Vec::new(),
        log: Arc::new(LogBudget::new(64 << 10)),
        outbound: Arc::new(Outbound::closed()),
        reuse: Reuse::default(),
    })
}
