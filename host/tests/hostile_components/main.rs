//! Hostile and broken components: each is refused or contained, with a sentence for people, and the host goes on.
//!
//! They are compiled as the host compiles them, in a child process, and tried as the host tries a new version.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use callgate::invoke::{
    Artifact, CacheSettings, Callable, CompileIn, Compiler, Link, LogBudget, Outbound, Reuse, Settings, Trial,
    TrialError, Watchdog,
};
use callgate_core::limits::CallLimits;
use components::{End, Hostile};

mod components;

/// A tenant's limits, with less CPU time than usual: what spins is to end soon.
const LIMITS: CallLimits = CallLimits {
    deadline: Duration::from_secs(600),
    patience: Duration::from_secs(600),
    max_cpu: Duration::from_millis(100),
    max_memory: 64 << 20,
    max_request_body: 1 << 20,
    max_response_body: 1 << 20,
    max_headers: 256,
    max_header_bytes: 64 << 10,
};

/// The most that a sentence may have: it goes into a log line, and is to be read.
const SENTENCE: usize = 600;

/// What a version goes through before a record meets it.
struct Deploy {
    compiler: Compiler,
    trial: Trial,
}

impl Deploy {
    fn new(cache: &Path) -> Self {
        let cache = CacheSettings { folder: cache.join("code"), key: None };
        let program = env!("CARGO_BIN_EXE_callgate").into();
        let settings = Settings { slots: 4, warm_memory: 0, idle_memory: 0, max_memory: 256 << 20 };
        Self {
            compiler: Compiler::new(&cache, CompileIn::Child(program)).expect("a cache"),
            trial: Trial::new(&settings, &Watchdog::start().expect("a thread")).expect("address space"),
        }
    }

    /// Where a component's way ends, and what is said of it.
    fn end(&self, bytes: &[u8]) -> (End, String) {
        let artifact = match self.compiler.load(bytes) {
            Ok(artifact) => artifact,
            Err(error) => {
                assert!(error.is_fault_of_component(), "not the host's: {error}");
                return (End::Refused, error.to_string());
            }
        };
        match self.trial.instantiate(&callable(vec![("hostile.wasm", artifact)]), &LIMITS) {
            Ok(()) => (End::Harmless, String::new()),
            Err((_, TrialError::Refused(sentence))) => (End::Tried, sentence),
            Err((_, error @ TrialError::NotNow(_))) => panic!("not the host's: {error}"),
        }
    }
}

fn callable(components: Vec<(&str, Artifact)>) -> Arc<Callable> {
    let link = |(name, artifact): (&str, Artifact)| Link { name: name.into(), artifact: Arc::new(artifact) };
    Arc::new(Callable {
        tenant: "acme".into(),
        handler: "hostile".into(),
        chain: components.into_iter().map(link).collect(),
        max_next_calls: 1,
        env: Vec::new(),
        log: Arc::new(LogBudget::new(64 << 10)),
        outbound: Arc::new(Outbound::closed()),
        reuse: Reuse::default(),
    })
}

fn coffee() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-examples/out/coffee-rust.wasm");
    fs::read(path).expect("`make -C guest-examples rust` builds coffee")
}

/// What is wrong with how this one ended.
fn wrong(hostile: &Hostile, end: End, sentence: &str) -> Option<String> {
    let wrong_end = hostile.end != End::Contained && hostile.end != end;
    let for_programs = ["\n", "Error {", "backtrace", "/root", ".rs:", "linker", "(at offset 0x"];
    let reasons = [
        (wrong_end, "it should be"),
        (end != End::Harmless && sentence.is_empty(), "nothing is said"),
        (!sentence.contains(hostile.says), "not said:"),
        (sentence.len() > SENTENCE, "too much is said"),
        (for_programs.iter().any(|words| sentence.contains(words)), "not for people"),
    ];
    let reasons: Vec<_> = reasons.iter().filter(|(wrong, _)| *wrong).map(|(_, reason)| *reason).collect();
    let Hostile { name, end: expected, says, .. } = hostile;
    (!reasons.is_empty()).then(|| format!("{name}: {end:?}: {sentence}\n    {reasons:?} {expected:?} \"{says}\""))
}

#[test]
fn each_is_refused_or_contained_and_the_host_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let deploy = Deploy::new(folder.path());
    let hostile = components::all(&coffee());
    assert!(hostile.len() >= 40, "{}", hostile.len());
    let mut wrongs = Vec::new();
    for hostile in &hostile {
        let (end, sentence) = deploy.end(&hostile.bytes);
        println!("{}: {end:?}: {sentence}", hostile.name);
        wrongs.extend(wrong(hostile, end, &sentence));
        // A neighbour that is deployed next meets the same host.
        assert_eq!(deploy.end(&coffee()), (End::Harmless, String::new()), "after {}", hostile.name);
    }
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

#[test]
fn in_a_chain_the_one_that_fails_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let deploy = Deploy::new(folder.path());
    let spins = components::all(&coffee()).into_iter().find(|hostile| hostile.name == "a start that spins");
    let load = |bytes: &[u8]| deploy.compiler.load(bytes).expect("it compiles");
    let chain = vec![
        ("milk.wasm", load(&coffee())),
        ("spins.wasm", load(&spins.expect("it is one of them").bytes)),
        ("coffee.wasm", load(&coffee())),
    ];
    let (position, refusal) = deploy.trial.instantiate(&callable(chain), &LIMITS).expect_err("a refusal");
    assert_eq!(position, 1);
    assert!(refusal.to_string().starts_with("the component does not start: computed for"), "{refusal}");
}
