use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Loaded(&'static str, &'static str);

impl Version for Loaded {
    /// The topic that both get.
    type Conflict = String;

    fn id(&self) -> &str {
        self.0
    }

    fn group(&self) -> &str {
        self.1
    }

    fn conflict_with(&self, other: &Self) -> Option<String> {
        let topic = |version: &Self| version.0.split_once(" on ").map(|(_, topic)| topic.to_owned());
        topic(self).filter(|taken| topic(other).as_ref() == Some(taken))
    }
}

fn name(handler: &str) -> HandlerName {
    HandlerName { tenant: "acme".into(), handler: handler.into() }
}

fn find(rollout: &mut Rollout<Loaded>, handler: &str, group: &str) -> u64 {
    rollout.found(&name(handler), &group.into())
}

fn load(rollout: &mut Rollout<Loaded>, handler: &str, number: u64, outcome: Option<Loaded>) -> bool {
    let is_wanted = rollout.loaded(&name(handler), number, outcome);
    rollout.decide();
    is_wanted
}

/// Finds and loads a version, and gives what is decided then, of handlers by their names.
fn deploy(rollout: &mut Rollout<Loaded>, handler: &str, version: &'static str) -> Vec<(String, Decided<Loaded>)> {
    let number = find(rollout, handler, "main");
    rollout.loaded(&name(handler), number, Some(Loaded(version, "main")));
    decided(rollout)
}

fn decided(rollout: &mut Rollout<Loaded>) -> Vec<(String, Decided<Loaded>)> {
    rollout.decide().into_iter().map(|(name, decided)| (name.handler.to_string(), decided)).collect()
}

fn runs(handler: &str, version: &'static str) -> (String, Decided<Loaded>) {
    (handler.to_owned(), Decided::Runs(Loaded(version, "main")))
}

#[test]
fn a_group_is_joined_when_each_of_its_handlers_is_loaded_or_refused() {
    let mut rollout = Rollout::new();
    let (orders, billing) = (find(&mut rollout, "orders", "main"), find(&mut rollout, "billing", "main"));
    let apart = find(&mut rollout, "apart", "own");
    assert!(load(&mut rollout, "orders", orders, Some(Loaded("orders 1", "main"))));
    assert!(load(&mut rollout, "apart", apart, Some(Loaded("apart 1", "own"))));
    assert_eq!(rollout.wanted(), [Loaded("apart 1", "own")]);
    assert!(!rollout.is_decided());
    assert!(load(&mut rollout, "billing", billing, None));
    assert_eq!(rollout.wanted(), [Loaded("apart 1", "own"), Loaded("orders 1", "main")]);
    assert!(rollout.is_decided());
    find(&mut rollout, "orders", "main");
    assert!(rollout.is_decided(), "the group was joined, and goes on");
    find(&mut rollout, "late", "another");
    assert!(!rollout.is_decided());
}

#[test]
fn a_version_that_is_loaded_again_is_not_the_one_before_itself() {
    let mut rollout = Rollout::new();
    for version in ["good", "bad", "bad"] {
        let number = find(&mut rollout, "orders", "main");
        load(&mut rollout, "orders", number, Some(Loaded(version, "main")));
    }
    assert_eq!(rollout.roll_back(&name("orders"), |running| running.0 == "bad"), Some(Loaded("good", "main")));
    assert_eq!(rollout.roll_back(&name("orders"), |running| running.0 == "good"), None);
}

#[test]
fn a_version_that_may_run_no_more_is_stopped_unless_another_one_is_on_its_way() {
    let mut rollout = Rollout::new();
    let number = find(&mut rollout, "orders", "main");
    load(&mut rollout, "orders", number, Some(Loaded("one", "main")));
    assert_eq!(rollout.stop_outdated(|_| false), [], "its files are there, and are loaded anew");
    rollout.refused(&name("orders"));
    assert_eq!(rollout.stop_outdated(|_| true), []);
    assert_eq!(rollout.stop_outdated(|_| false), [name("orders")]);
    assert_eq!(rollout.wanted(), []);
}

#[test]
fn once_joined_a_group_does_not_wait_for_a_handler_that_is_added() {
    let mut rollout = Rollout::new();
    let number = find(&mut rollout, "orders", "main");
    load(&mut rollout, "orders", number, Some(Loaded("orders 1", "main")));
    assert_eq!(rollout.wanted().len(), 1);
    find(&mut rollout, "billing", "main");
    assert_eq!(rollout.wanted(), [Loaded("orders 1", "main")]);
}

#[test]
fn a_version_runs_until_another_one_is_loaded_and_if_that_is_refused_goes_on() {
    let mut rollout = Rollout::new();
    let number = find(&mut rollout, "orders", "main");
    load(&mut rollout, "orders", number, Some(Loaded("one", "main")));
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    let number = find(&mut rollout, "orders", "main");
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    load(&mut rollout, "orders", number, None);
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    rollout.refused(&name("orders"));
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    let number = find(&mut rollout, "orders", "main");
    load(&mut rollout, "orders", number, Some(Loaded("two", "main")));
    assert_eq!(rollout.wanted(), [Loaded("two", "main")]);
}

#[test]
fn a_load_that_was_overtaken_counts_for_nothing() {
    let mut rollout = Rollout::new();
    let slow = find(&mut rollout, "orders", "main");
    let quick = find(&mut rollout, "orders", "main");
    assert!(load(&mut rollout, "orders", quick, Some(Loaded("two", "main"))));
    assert!(!load(&mut rollout, "orders", slow, Some(Loaded("one", "main"))));
    assert_eq!(rollout.wanted(), [Loaded("two", "main")]);
    rollout.retain(&BTreeSet::new());
    assert!(!load(&mut rollout, "orders", quick, Some(Loaded("two", "main"))));
    assert_eq!(rollout.wanted(), []);
}

#[test]
fn a_version_that_fails_is_rolled_back_once_and_only_to_one_that_ran() {
    let mut rollout = Rollout::new();
    let number = find(&mut rollout, "orders", "main");
    load(&mut rollout, "orders", number, Some(Loaded("one", "main")));
    assert_eq!(rollout.roll_back(&name("orders"), |_| true), None);
    let number = find(&mut rollout, "orders", "main");
    load(&mut rollout, "orders", number, Some(Loaded("two", "main")));
    assert_eq!(rollout.roll_back(&name("orders"), |version| version.0 == "one"), None);
    assert_eq!(rollout.roll_back(&name("orders"), |version| version.0 == "two"), Some(Loaded("one", "main")));
    assert_eq!(rollout.roll_back(&name("orders"), |_| true), None);
    assert_eq!(rollout.wanted(), [Loaded("one", "main")]);
    assert_eq!(rollout.all().map(|(_, _, latest)| latest).collect::<Vec<_>>(), [Latest::Refused]);
}

#[test]
fn a_handler_is_idle_while_nothing_of_it_runs_or_is_on_its_way() {
    let mut rollout = Rollout::new();
    rollout.refused(&name("orders"));
    let idle = |rollout: &Rollout<Loaded>| rollout.idle().count();
    assert_eq!(idle(&rollout), 1);
    let number = find(&mut rollout, "orders", "main");
    assert_eq!(idle(&rollout), 0, "it is being loaded");
    load(&mut rollout, "orders", number, Some(Loaded("one", "main")));
    rollout.refused(&name("orders"));
    assert_eq!(idle(&rollout), 0, "the version before runs");
}

#[test]
fn a_version_that_goes_on_keeps_its_topics_until_it_is_gone() {
    let mut rollout = Rollout::new();
    deploy(&mut rollout, "orders", "one on x");
    rollout.refused(&name("orders"));
    let refused = ("billing".to_owned(), Decided::Refused("x".to_owned()));
    assert_eq!(deploy(&mut rollout, "billing", "new on x"), [refused]);
    assert_eq!(decided(&mut rollout), [], "it is told once");
    assert_eq!(rollout.wanted(), [Loaded("one on x", "main")]);
    assert_eq!(deploy(&mut rollout, "orders", "two on y"), [runs("billing", "new on x"), runs("orders", "two on y")]);
}

#[test]
fn who_claims_a_topic_that_another_is_about_to_leave_waits() {
    let mut rollout = Rollout::new();
    deploy(&mut rollout, "orders", "one on x");
    let leaving = find(&mut rollout, "orders", "main");
    assert_eq!(deploy(&mut rollout, "billing", "new on x"), []);
    rollout.loaded(&name("orders"), leaving, None);
    assert_eq!(decided(&mut rollout), [("billing".to_owned(), Decided::Refused("x".to_owned()))]);
    rollout.retain(&BTreeSet::from([name("billing")]));
    assert_eq!(decided(&mut rollout), [runs("billing", "new on x")]);
}

#[test]
fn two_handlers_may_change_their_topics_with_each_other() {
    let mut rollout = Rollout::new();
    deploy(&mut rollout, "orders", "one on x");
    deploy(&mut rollout, "billing", "one on y");
    let (orders, billing) = (find(&mut rollout, "orders", "main"), find(&mut rollout, "billing", "main"));
    rollout.loaded(&name("orders"), orders, Some(Loaded("two on y", "main")));
    assert_eq!(decided(&mut rollout), []);
    rollout.loaded(&name("billing"), billing, Some(Loaded("two on x", "main")));
    assert_eq!(decided(&mut rollout), [runs("billing", "two on x"), runs("orders", "two on y")]);
}

#[test]
fn nothing_is_rolled_back_to_what_another_handler_has_by_now() {
    let mut rollout = Rollout::new();
    deploy(&mut rollout, "orders", "one on x");
    deploy(&mut rollout, "orders", "two on y");
    deploy(&mut rollout, "billing", "new on x");
    assert_eq!(rollout.roll_back(&name("orders"), |_| true), None);
    rollout.retain(&BTreeSet::from([name("orders")]));
    assert_eq!(rollout.roll_back(&name("orders"), |_| true), Some(Loaded("one on x", "main")));
}
