//! What counts, and from when on.

use super::*;

#[test]
fn at_the_start_what_is_old_counts_at_once_and_what_is_new_after_a_second() {
    let house = House::new(&[("acme/orders.wasm", "1")]);
    assert_eq!(house.told, [handler("acme/orders", &["1"])]);

    let mut house = House::fresh(&[("acme/orders.wasm", "1")]);
    assert!(!house.after(0) && house.watch.is_settling());
    assert!(!house.after(999));
    assert!(house.after(1));
    assert_eq!(house.told, [handler("acme/orders", &["1"])]);
    assert!(!house.watch.is_settling());

    assert!(House::fresh(&[]).after(0), "nothing at all is told at once");
}

#[test]
fn the_start_waits_for_all_that_settles_and_not_for_ever() {
    let mut house = House::fresh(&[("acme/orders.wasm", "1"), ("shop/busy.wasm", "1")]);
    assert!(!house.after(0));
    for look in 1..12 {
        house.write("shop/busy.wasm", &"x".repeat(look + 1));
        assert!(!house.after(250), "{look}");
    }
    house.write("shop/busy.wasm", "");
    assert!(house.after(250));
    assert_eq!(house.told, [handler("acme/orders", &["1"])]);
}

#[test]
fn a_file_of_another_time_counts_after_a_second_all_the_same() {
    let touch = |house: &House, seconds: i64| {
        let now = SystemTime::now();
        let span = Duration::from_secs(seconds.unsigned_abs());
        let time = if seconds > 0 { now + span } else { SystemTime::UNIX_EPOCH };
        let file = fs::File::options().write(true).open(house.path("acme/orders.wasm")).expect("a file");
        file.set_modified(time).expect("a time");
    };
    for seconds in [-1, 3_600, 100 * 365 * 86_400] {
        // Found at the start: written just now, and said to be of the past or of the future.
        let mut house = House::fresh(&[("acme/orders.wasm", "1")]);
        touch(&house, seconds);
        assert!(!house.after(0) && !house.after(999));
        assert!(house.after(1), "{seconds}");
        // Replaced later.
        house.write("acme/orders.wasm", "22");
        touch(&house, seconds);
        assert!(!house.after(0) && !house.after(999));
        assert!(house.after(1), "{seconds}");
        // Only touched: there is nothing new.
        touch(&house, seconds);
        assert!(!house.after(0) && !house.after(1_500));
    }
}

#[test]
fn the_time_of_day_may_be_anything() {
    for day in [SystemTime::UNIX_EPOCH, SystemTime::now() - Duration::from_secs(86_400)] {
        let mut house = House::fresh(&[("acme/orders.wasm", "1")]);
        assert!(!house.look_at(day) && !house.after(999));
        assert!(house.after(1), "a file of the future is new, and no older than that");
    }
}

#[test]
fn a_half_does_not_count_while_the_other_one_may_come() {
    let mut house = House::new(&[("acme/orders.toml", "old"), ("acme/orders.wasm", "1")]);
    house.write("acme/orders.wasm", "22 half");
    for _ in 0..3 {
        assert!(!house.after(300));
    }
    house.write("acme/orders.wasm", "22 half and half");
    for _ in 0..3 {
        assert!(!house.after(300));
    }
    assert_eq!(house.told, [with_manifest("acme/orders", "old", &["1"])]);
    assert!(house.after(400));
    assert_eq!(house.told, [with_manifest("acme/orders", "old", &["22 half and half"])]);
}

#[test]
fn a_handler_waits_for_all_of_its_files() {
    let mut house = House::new(&[]);
    house.write("acme/orders.wasm", "1");
    assert!(!house.after(0) && !house.after(900));
    house.write("acme/orders.toml", "# new");
    assert!(!house.after(100) && !house.after(900), "the manifest is there since just now");
    assert!(house.after(100));
    assert_eq!(house.told, [with_manifest("acme/orders", "# new", &["1"])]);
}

#[test]
fn a_file_that_is_taken_away_for_less_than_a_second_is_replaced_and_not_deleted() {
    let mut house = House::new(&[("acme/orders.wasm", "1"), ("acme/refunds.wasm", "1")]);
    house.remove("acme/orders.wasm");
    assert!(!house.after(0) && !house.after(900));
    house.write("acme/orders.wasm", "22");
    assert!(!house.after(0) && !house.after(900));
    assert_eq!(house.told.len(), 2);
    assert!(house.after(100));
    assert_eq!(house.told, [handler("acme/orders", &["22"]), handler("acme/refunds", &["1"])]);
    house.remove("acme/orders.wasm");
    assert!(!house.after(0) && !house.after(999));
    assert!(house.after(1));
    assert_eq!(house.told, [handler("acme/refunds", &["1"])]);
}

#[test]
fn a_file_that_is_renamed_into_place_counts_as_a_whole() {
    let mut house = House::new(&[("acme/orders.wasm", "1"), ("acme/.orders.wasm", "half")]);
    house.write("acme/.orders.wasm", "half and half");
    assert!(!house.after(2_000), "its name starts with a dot");
    house.rename("acme/.orders.wasm", "acme/orders.wasm");
    assert!(!house.after(0) && house.after(1_000));
    assert_eq!(house.told, [handler("acme/orders", &["half and half"])]);
}

#[test]
fn a_file_that_never_settles_keeps_its_handler_as_it_was_and_starves_no_neighbour() {
    let mut house = House::new(&[("acme/busy.wasm", "1"), ("acme/orders.wasm", "1")]);
    house.write("acme/orders.wasm", "22");
    let mut taken = None;
    for look in 1..40 {
        house.write("acme/busy.wasm", &"x".repeat(look));
        if house.after(250) {
            assert_eq!(taken.replace(look), None, "once");
        }
    }
    // A second of its own after the first look, and two for the rest of the folder.
    assert_eq!(taken, Some(13));
    assert_eq!(house.told, [handler("acme/busy", &["1"]), handler("acme/orders", &["22"])]);
    house.later();
    assert_eq!(house.told[0], handler("acme/busy", &[&"x".repeat(39)]));
}

#[test]
fn what_changes_together_counts_together_within_a_tenant() {
    let mut house = House::new(&[("acme/a.wasm", "1"), ("acme/b.wasm", "1"), ("shop/c.wasm", "1")]);
    house.write("acme/a.wasm", "22");
    house.write("shop/c.wasm", "22");
    assert!(!house.after(0) && !house.after(500));
    house.write("acme/b.wasm", "22");
    assert!(!house.after(0));
    assert!(house.after(500), "another tenant waits for none of this");
    assert_eq!(house.told, [handler("acme/a", &["1"]), handler("acme/b", &["1"]), handler("shop/c", &["22"])]);
    assert!(house.after(500));
    assert_eq!(house.told, ["acme/a", "acme/b", "shop/c"].map(|name| handler(name, &["22"])));
}

#[test]
fn what_moves_while_it_is_read_does_not_count() {
    let mut house = House::new(&[("acme/orders.toml", "old"), ("acme/orders.wasm", "1")]);
    house.write("acme/orders.wasm", "22");
    house.write("acme/orders.toml", "newer");
    house.after(0);
    let manifest = house.path("acme/orders.toml");
    MEANWHILE.set(Some(Box::new(move || fs::write(manifest, "newest").expect("a file"))));
    assert!(!house.after(1_000));
    assert_eq!(house.told, [with_manifest("acme/orders", "old", &["1"])]);
    assert!(!house.after(999) && house.after(1));
    assert_eq!(house.told, [with_manifest("acme/orders", "newest", &["22"])]);
}

#[test]
fn only_what_has_changed_is_read_again() {
    let mut house = House::new(&[("acme/a.wasm", "1"), ("acme/b.wasm", "1"), ("shop/c.wasm", "1")]);
    READ.set(0);
    house.later();
    house.write("acme/a.toml", "");
    house.later();
    assert_eq!(READ.get(), 0, "the component of a new manifest is known");
    house.write("acme/b.wasm", "22");
    house.later();
    assert_eq!(READ.get(), 1);
}

#[test]
fn one_look_reads_no_more_than_its_budget_and_the_tenants_take_turns() {
    let mut house = House::new(&[("shop/orders.wasm", "1")]);
    house.watch.budget = 8;
    ["a", "b", "c", "d", "e"].iter().for_each(|name| house.write(&format!("acme/{name}.wasm"), "4444"));
    house.write("shop/orders.wasm", "22");
    READ.set(0);
    assert!(!house.after(0) && !house.after(1_000));
    assert_eq!(READ.get(), 2);
    assert!(house.after(250), "the neighbour has its turn");
    assert_eq!((house.told.len(), READ.get()), (1, 5));
    assert!(house.after(250));
    assert_eq!((house.told.len(), READ.get()), (6, 6));
}

#[test]
fn what_editors_leave_is_no_handler() {
    let mut house = House::new(&[("acme/orders.toml", ""), ("acme/orders.wasm", "1")]);
    for name in [".orders.toml.swp", ".#orders.toml", "orders.toml~", "#orders.toml#", "4913", "orders.toml.tmp"] {
        house.write(&format!("acme/{name}"), "x = ");
        house.write(&format!(".trash/{name}"), "x = ");
    }
    house.write("acme/.git/config.toml", "x = ");
    house.later();
    assert_eq!(house.told, [with_manifest("acme/orders", "", &["1"])]);
    // As vim saves: the old one is moved away, the new one is written, the old one goes.
    house.rename("acme/orders.toml", "acme/orders.toml~");
    house.after(10);
    house.write("acme/orders.toml", "# new");
    house.after(10);
    house.remove("acme/orders.toml~");
    assert_eq!(house.later(), [with_manifest("acme/orders", "# new", &["1"])]);
    assert_eq!(house.alerts, [""; 0]);
}

#[test]
fn a_directory_may_appear_later() {
    let mut house = House::new(&[]);
    assert!(house.told.is_empty() && !house.after(5_000));
    house.write("acme/orders.wasm", "1");
    assert!(!house.after(0) && house.after(1_000));
    assert_eq!(house.told, [handler("acme/orders", &["1"])]);
}

#[test]
fn a_manifest_takes_a_component_over_and_gives_it_back_without_a_moment_between() {
    let mut house = House::new(&[("acme/orders.wasm", "1"), ("acme/refunds.wasm", "2")]);
    house.write("acme/shop.toml", "component = \"./orders.wasm\"");
    assert!(!house.after(0), "half a manifest may name something else");
    assert!(house.after(1_000));
    let shop = with_manifest("acme/shop", "component = \"./orders.wasm\"", &["1"]);
    assert_eq!(house.told, [handler("acme/refunds", &["2"]), shop]);
    house.remove("acme/shop.toml");
    assert!(!house.after(0) && house.after(1_000));
    assert_eq!(house.told, [handler("acme/orders", &["1"]), handler("acme/refunds", &["2"])]);
}

#[test]
fn components_of_a_manifest_that_does_not_count_yet_are_no_handlers() {
    let mut house = House::new(&[("acme/orders.toml", "component = \"v1.wasm\""), ("acme/v1.wasm", "1")]);
    // The new one takes for ever to be written; the manifest names it already.
    house.write("acme/orders.toml", "component = \"versions/v22.wasm\"");
    for look in 1..20 {
        house.write("acme/versions/v22.wasm", &"x".repeat(look));
        assert!(!house.after(500));
    }
    assert!(!house.after(500) && house.after(500));
    let digest = "x".repeat(19);
    let orders = with_manifest("acme/orders", "component = \"versions/v22.wasm\"", &[&digest]);
    assert_eq!(house.told, [orders, handler("acme/v1", &["1"])]);
}

#[test]
fn a_manifest_that_is_renamed_leaves_its_component_to_nobody_meanwhile() {
    let mut house = House::new(&[("acme/a.toml", "component = \"m.wasm\""), ("acme/m.wasm", "1")]);
    assert!(!house.after(60_000));
    house.rename("acme/a.toml", "acme/b.toml");
    assert!(!house.after(0) && !house.after(900) && house.after(100));
    assert_eq!(house.told, [with_manifest("acme/b", "component = \"m.wasm\"", &["1"])]);
}

#[test]
fn a_typo_in_a_manifest_sets_none_of_its_components_free() {
    let files = [("acme/orders.toml", "component = \"v1.wasm\""), ("acme/v1.wasm", "1"), ("acme/alone.wasm", "2")];
    let mut house = House::new(&files);
    house.write("acme/orders.toml", "component : v1.wasm");
    assert!(!house.after(0) && house.after(1_000));
    let orders = "acme/orders: component : v1.wasm | (is not there)".to_owned();
    let waits = |file: &str| {
        format!("deploy.component-waits: it is not TOML, so {file} may be meant by it, and will not run by itself")
    };
    assert_eq!(house.told, [handler("acme/alone", &["2"]), orders.clone(), waits("v1.wasm")]);
    // Nor does a component that comes later begin to.
    house.write("acme/v2.wasm", "3");
    assert_eq!(house.later(), [handler("acme/alone", &["2"]), orders, waits("v1.wasm, v2.wasm")]);
    house.write("acme/orders.toml", "component = 'v2.wasm'");
    let orders = with_manifest("acme/orders", "component = 'v2.wasm'", &["3"]);
    assert_eq!(house.later(), [handler("acme/alone", &["2"]), orders, handler("acme/v1", &["1"])]);
}

#[test]
fn a_component_that_is_missing_may_come_later() {
    let mut house = House::new(&[("acme/orders.toml", "middleware = [\"a/b.wasm\"]")]);
    let orders = |components: &str| format!("acme/orders: middleware = [\"a/b.wasm\"] | {components}");
    assert_eq!(house.told, [orders("(is not there), (is not there)")]);
    house.write("acme/orders.wasm", "1");
    house.write("acme/a/b.wasm", "2");
    assert!(!house.after(0) && house.after(1_000));
    assert_eq!(house.told, [orders(&format!("{}, {}", digest(b"2"), digest(b"1")))]);
}

#[test]
fn stray_files_are_told_when_they_stay() {
    let mut house = House::new(&[("acme/orders.wasm", "1")]);
    house.write("orders.wasm", "1");
    house.write("README.md", "for people");
    assert!(!house.after(0) && house.after(1_000));
    let stray = "deploy.stray-file: a manifest or component that lies beside the tenants' folders is nobody's";
    assert_eq!(house.told, [handler("acme/orders", &["1"]), stray.to_owned()]);
    house.remove("orders.wasm");
    house.later();
    assert_eq!(house.told, [handler("acme/orders", &["1"])]);
}
