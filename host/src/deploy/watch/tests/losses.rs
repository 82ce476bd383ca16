//! Handlers that go: a deletion, or an alert.

use super::*;

/// As many handlers of one tenant, in the order of their names.
fn house_of(handlers: usize) -> House {
    let names: Vec<String> = (0..handlers).map(|index| format!("acme/h{index}.wasm")).collect();
    House::new(&names.iter().map(|name| (&**name, "1")).collect::<Vec<_>>())
}

impl House {
    fn remove_handlers(&self, of: std::ops::Range<usize>) {
        of.for_each(|index| self.remove(&format!("acme/h{index}.wasm")));
    }

    fn has_alert(&self) -> bool {
        self.watch.alerts().next().is_some()
    }

    fn move_away(&self) {
        fs::rename(self.path(""), self.folder.path().join("away")).expect("a folder");
    }

    fn bring_back(&self) {
        fs::rename(self.folder.path().join("away"), self.path("")).expect("a folder");
    }
}

#[test]
fn half_of_the_handlers_may_be_deleted_and_more_is_an_alert() {
    let mut house = house_of(4);
    house.remove_handlers(0..2);
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (2, 0));

    let mut house = house_of(4);
    house.remove_handlers(0..3);
    house.later();
    assert_eq!(house.told.len(), 4);
    assert_eq!(house.alerts, ["3 of 4 handlers have gone at once (acme/h0, acme/h1, acme/h2)"]);
    assert!(house.has_alert());
}

#[test]
fn the_only_handler_can_be_deleted() {
    let mut house = House::new(&[("acme/orders.wasm", "1"), ("acme/orders.toml", "")]);
    house.remove("acme/orders.wasm");
    house.remove("acme/orders.toml");
    assert!(house.later().is_empty());
    assert_eq!(house.alerts, [""; 0]);
}

#[test]
fn deleting_many_takes_a_while_and_is_one_loss() {
    let mut house = house_of(10);
    for index in 0..10 {
        house.remove_handlers(index..index + 1);
        house.after(90);
    }
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (10, 1));
}

#[test]
fn all_tenants_count_together() {
    let mut house = House::new(&[("acme/a.wasm", "1"), ("shop/b.wasm", "1"), ("shop/c.wasm", "1")]);
    fs::remove_dir_all(house.path("shop")).expect("a folder");
    house.later();
    assert_eq!(house.alerts, ["2 of 3 handlers have gone at once (shop/b, shop/c)"]);
    assert_eq!(house.told.len(), 3);

    let mut house = House::new(&[("acme/a.wasm", "1"), ("shop/b.wasm", "1"), ("acme/c.wasm", "1")]);
    fs::remove_dir_all(house.path("shop")).expect("a folder");
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (2, 0));
}

#[test]
fn a_directory_that_vanishes_is_an_alert_until_it_is_back() {
    let mut house = House::new(&[("acme/orders.wasm", "1")]);
    house.move_away();
    assert!(!house.after(0) && !house.after(900) && house.alerts.is_empty(), "it may be replaced");
    house.later();
    assert_eq!(house.alerts, ["the deploy directory is not there, which had 1 handler (acme/orders)"]);
    assert!(house.has_alert());
    house.bring_back();
    house.later();
    assert!(!house.has_alert());
    assert_eq!(house.told, [handler("acme/orders", &["1"])]);
    // What changed meanwhile is a change as ever; and what goes then is a loss as ever.
    house.move_away();
    house.later();
    house.bring_back();
    house.write("acme/orders.wasm", "22");
    assert_eq!(house.later(), [handler("acme/orders", &["22"])]);
    assert_eq!(house.alerts.len(), 2);
}

#[test]
fn a_directory_that_is_replaced_at_once_is_not_missed() {
    let mut house = house_of(3);
    house.move_away();
    house.after(250);
    house.write("acme/h0.wasm", "22");
    house.write("acme/h1.wasm", "1");
    house.write("acme/h2.wasm", "1");
    house.later();
    assert_eq!(house.told[0], handler("acme/h0", &["22"]));
    assert_eq!((house.told.len(), house.alerts.len()), (3, 0));
}

#[test]
fn an_empty_directory_is_one_that_is_not_mounted() {
    let mut house = House::new(&[("acme/orders.wasm", "1")]);
    house.move_away();
    fs::create_dir(house.path("")).expect("a folder");
    house.later();
    assert_eq!(house.alerts, ["the deploy directory is empty, which had 1 handler (acme/orders)"]);
}

#[test]
fn while_an_alert_stands_others_are_deployed_and_none_is_deleted() {
    let mut house = house_of(5);
    house.remove_handlers(0..3);
    house.later();
    house.remove_handlers(3..4);
    house.write("acme/h4.wasm", "22");
    house.write("acme/h5.wasm", "1");
    house.later();
    assert_eq!(house.told.len(), 6);
    assert_eq!(house.told[4], handler("acme/h4", &["22"]));
    // Two of three are back; the alert stands for the one that is not.
    house.write("acme/h0.wasm", "1");
    house.write("acme/h1.wasm", "1");
    house.later();
    assert!(house.has_alert() && house.told.len() == 6);
    house.write("acme/h2.wasm", "1");
    house.write("acme/h3.wasm", "1");
    house.later();
    assert!(!house.has_alert() && house.told.len() == 6);
    assert_eq!(house.alerts.len(), 1);
}

#[test]
fn one_tenants_loss_keeps_no_other_tenant_from_deleting() {
    let mut house = house_of(6);
    house.write("bank/a.wasm", "1");
    house.write("shop/a.wasm", "1");
    house.write("shop/b.wasm", "1");
    house.later();
    house.remove_handlers(0..6);
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (9, 1));
    // As if the other one were not there: the only handler of one, half of another's.
    house.remove("bank/a.wasm");
    house.later();
    house.remove("shop/a.wasm");
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (7, 1));
    // More than half of what there is beside is a loss of its own, which ends by itself.
    house.write("shop/a.wasm", "1");
    house.write("shop/c.wasm", "1");
    house.later();
    house.remove("shop/a.wasm");
    house.remove("shop/b.wasm");
    house.later();
    assert_eq!(house.alerts[1..], ["2 of 3 handlers have gone at once (shop/a, shop/b)"]);
    assert_eq!((house.told.len(), house.watch.alerts().count()), (9, 2));
    house.write("shop/a.wasm", "1");
    house.write("shop/b.wasm", "1");
    house.later();
    assert_eq!((house.told.len(), house.watch.alerts().count()), (9, 1));
    assert!(house.watch.alerts().all(|alert| alert.message.starts_with("6 of 9 ")));
}

#[test]
fn a_tenant_that_is_back_may_delete_while_another_is_still_missing() {
    let mut house = House::new(&[("acme/a.wasm", "1"), ("shop/b.wasm", "1"), ("shop/c.wasm", "1")]);
    house.move_away();
    house.later();
    house.write("shop/b.wasm", "1");
    house.later();
    assert_eq!(house.told.len(), 3, "shop is not back as a whole");
    house.write("shop/c.wasm", "1");
    house.later();
    house.remove("shop/c.wasm");
    house.later();
    assert_eq!(house.told, [handler("acme/a", &["1"]), handler("shop/b", &["1"])]);
    assert!(house.has_alert());
}

#[test]
fn handlers_that_never_ran_are_no_loss() {
    let mut house = House::new(&[("acme/a.wasm", "1"), ("shop/b.wasm", "1"), ("shop/c.wasm", "1")]);
    let broken: Vec<String> = (0..20).map(|index| format!("broken{index}")).collect();
    broken.iter().for_each(|name| house.write(&format!("acme/{name}.toml"), "x"));
    house.later();
    house.watch.set_idle(broken.iter().map(|name| ("acme", name.as_str())));
    broken.iter().for_each(|name| house.remove(&format!("acme/{name}.toml")));
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (3, 0));
    // Nor do they make others' loss a smaller one.
    broken.iter().for_each(|name| house.write(&format!("acme/{name}.toml"), "x"));
    house.later();
    house.remove("shop/b.wasm");
    house.remove("shop/c.wasm");
    house.later();
    assert_eq!(house.alerts, ["2 of 3 handlers have gone at once (shop/b, shop/c)"]);
    // What goes with the whole directory is not deleted, whatever became of it.
    house.move_away();
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (23, 2));
}

#[test]
fn a_loss_that_is_confirmed_is_a_deletion() {
    let mut house = house_of(4);
    house.remove_handlers(0..3);
    house.later();
    house.watch.confirm();
    assert!(house.after(250));
    assert_eq!(house.told, [handler("acme/h3", &["1"])]);
    assert!(!house.has_alert());

    let mut house = house_of(4);
    house.move_away();
    house.later();
    house.watch.confirm();
    assert!(house.after(250));
    assert!(house.told.is_empty() && !house.has_alert());
}

#[test]
fn a_loss_may_be_confirmed_before_it_counts_and_never_before_it_happens() {
    let mut house = house_of(4);
    house.remove_handlers(0..4);
    house.watch.confirm();
    assert!(house.later().is_empty());
    assert_eq!(house.alerts, [""; 0]);

    let mut house = house_of(4);
    house.watch.confirm();
    house.after(250);
    house.remove_handlers(0..4);
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (4, 1));
}

#[test]
fn to_rename_most_handlers_is_to_lose_them() {
    let mut house = house_of(3);
    (0..3).for_each(|index| house.rename(&format!("acme/h{index}.wasm"), &format!("acme/new{index}.wasm")));
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (6, 1), "the new ones count, the old ones stay");
    house.watch.confirm();
    house.later();
    assert_eq!(house.told.len(), 3);
}

#[test]
fn a_link_to_a_folder_that_is_away_deletes_nothing() {
    let mut house = House::fresh(&[("acme/a.wasm", "1"), ("acme/b.wasm", "1"), ("acme/c.wasm", "1")]);
    fs::create_dir(house.folder.path().join("mounted")).expect("a folder");
    fs::write(house.folder.path().join("mounted/orders.wasm"), "1").expect("a file");
    house.link("../mounted", "shop");
    house.later();
    assert_eq!(house.told[3], handler("shop/orders", &["1"]));
    fs::rename(house.folder.path().join("mounted"), house.folder.path().join("away")).expect("a folder");
    house.later();
    assert_eq!(house.told.len(), 5);
    assert!(house.told[4].starts_with("deploy.directory-not-read: "), "{:?}", house.told);
    fs::rename(house.folder.path().join("away"), house.folder.path().join("mounted")).expect("a folder");
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (4, 0));
    // Without its link, it is deleted.
    house.remove("shop");
    house.later();
    assert_eq!((house.told.len(), house.alerts.len()), (3, 0));
}
