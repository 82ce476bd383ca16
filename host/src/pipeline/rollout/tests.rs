use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Loaded(&'static str, &'static str);

impl Version for Loaded {
    fn id(&self) -> &str {
        self.0
    }

    fn group(&self) -> &str {
        self.1
    }
}

fn name(handler: &str) -> HandlerName {
    HandlerName { tenant: "acme".into(), handler: handler.into() }
}

fn find(rollout: &mut Rollout<Loaded>, handler: &str, group: &str) -> u64 {
    rollout.found(&name(handler), &group.into())
}

#[test]
fn a_group_is_joined_when_each_of_its_handlers_is_loaded_or_refused() {
    let mut rollout = Rollout::new();
    let (orders, billing) = (find(&mut rollout, "orders", "main"), find(&mut rollout, "billing", "main"));
    let apart = find(&mut rollout, "apart", "own");
    assert!(rollout.loaded(&name("orders"), orders, Some(Loaded("orders 1", "main"))));
    assert!(rollout.loaded(&name("apart"), apart, Some(Loaded("apart 1", "own"))));
    assert_eq!(rollout.wanted(), [Loaded("apart 1", "own")]);
    assert!(!rollout.is_decided());
    assert!(rollout.loaded(&name("billing"), billing, None));
    assert_eq!(rollout.wanted(), [Loaded("apart 1", "own"), Loaded("orders 1", "main")]);
    assert!(rollout.is_decided());
}

#[test]
fn a_version_that_is_loaded_again_is_not_the_one_before_itself() {
    let mut rollout = Rollout::new();
    for version in ["good", "bad", "bad"] {
        let load = find(&mut rollout, "orders", "main");
        rollout.loaded(&name("orders"), load, Some(Loaded(version, "main")));
    }
    assert_eq!(rollout.roll_back(&name("orders"), |running| running.0 == "bad"), Some(Loaded("good", "main")));
    assert_eq!(rollout.roll_back(&name("orders"), |running| running.0 == "good"), None);
}

#[test]
fn a_version_that_may_run_no_more_is_stopped_unless_another_one_is_on_its_way() {
    let mut rollout = Rollout::new();
    let load = find(&mut rollout, "orders", "main");
    rollout.loaded(&name("orders"), load, Some(Loaded("one", "main")));
    assert_eq!(rollout.stop_outdated(|_| false), [], "its files are there, and are loaded anew");
    rollout.refused(&name("orders"));
    assert_eq!(rollout.stop_outdated(|_| true), []);
    assert_eq!(rollout.stop_outdated(|_| false), [name("orders")]);
    assert_eq!(rollout.wanted(), []);
}

#[test]
fn once_joined_a_group_does_not_wait_for_a_handler_that_is_added() {
    let mut rollout = Rollout::new();
    let load = find(&mut rollout, "orders", "main");
    rollout.loaded(&name("orders"), load, Some(Loaded("orders 1", "main")));
    assert_eq!(rollout.wanted().len(), 1);
    find(&mut rollout, "billing", "main");
    assert_eq!(rollout.wanted(), [Loaded("orders 1", "main")]);
}

#[test]
fn a_version_runs_until_another_one_is_loaded_and_if_that_is_refused_goes_on() {
    let mut rollout = Rollout::new();
    let load = find(&mut rollout, "orders", "main");
    rollout.loaded(&name("orders"), load, Some(Loaded("one", "main")));
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    let load = find(&mut rollout, "orders", "main");
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    rollout.loaded(&name("orders"), load, None);
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    rollout.refused(&name("orders"));
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    let load = find(&mut rollout, "orders", "main");
    rollout.loaded(&name("orders"), load, Some(Loaded("two", "main")));
    assert_eq!(rollout.wanted(), [Loaded("two", "main")]);
}

#[test]
fn a_load_that_was_overtaken_counts_for_nothing() {
    let mut rollout = Rollout::new();
    let slow = find(&mut rollout, "orders", "main");
    let quick = find(&mut rollout, "orders", "main");
    assert!(rollout.loaded(&name("orders"), quick, Some(Loaded("two", "main"))));
    assert!(!rollout.loaded(&name("orders"), slow, Some(Loaded("one", "main"))));
    assert_eq!(rollout.wanted(), [Loaded("two", "main")]);
    rollout.retain(&BTreeSet::new());
    assert!(!rollout.loaded(&name("orders"), quick, Some(Loaded("two", "main"))));
    assert_eq!(rollout.wanted(), []);
}

#[test]
fn a_version_that_fails_is_rolled_back_once_and_only_to_one_that_ran() {
    let mut rollout = Rollout::new();
    let load = find(&mut rollout, "orders", "main");
    rollout.loaded(&name("orders"), load, Some(Loaded("one", "main")));
    assert_eq!(rollout.roll_back(&name("orders"), |_| true), None);
    let load = find(&mut rollout, "orders", "main");
    rollout.loaded(&name("orders"), load, Some(Loaded("two", "main")));
    assert_eq!(rollout.roll_back(&name("orders"), |version| version.0 == "one"), None);
    assert_eq!(rollout.roll_back(&name("orders"), |version| version.0 == "two"), Some(Loaded("one", "main")));
    assert_eq!(rollout.roll_back(&name("orders"), |_| true), None);
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    assert_eq!(rollout.all().map(|(_, _, latest)| latest).collect::<Vec<_>>(), [Latest::Refused]);
}
