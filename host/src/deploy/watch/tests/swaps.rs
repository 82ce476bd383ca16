//! Links that are turned to something else, as Kubernetes does with the volumes it mounts.

use super::*;

impl House {
    /// Turns a link to something else, at once.
    fn turn(&self, target: &str, name: &str) {
        self.link(target, &format!("{name}.new"));
        self.rename(&format!("{name}.new"), name);
    }
}

#[test]
fn a_volume_that_is_a_tenants_folder() {
    let mut house = House::fresh(&[("acme/..2026_1/orders.toml", "# old"), ("acme/..2026_1/orders.wasm", "1")]);
    house.link("..2026_1", "acme/..data");
    house.link("..data/orders.toml", "acme/orders.toml");
    house.link("..data/orders.wasm", "acme/orders.wasm");
    assert_eq!(house.later(), [with_manifest("acme/orders", "# old", &["1"])]);
    // The new version differs in its manifest only, and has the size and the time of the old one.
    house.write("acme/..2026_2/orders.toml", "# new");
    house.write("acme/..2026_2/orders.wasm", "1");
    let modified = |name: &str| fs::metadata(house.path(name)).expect("a file").modified().expect("a time");
    let file = fs::File::options().write(true).open(house.path("acme/..2026_2/orders.toml")).expect("a file");
    file.set_modified(modified("acme/..2026_1/orders.toml")).expect("a time");
    assert!(!house.after(2_000), "nothing points there");
    house.turn("..2026_2", "acme/..data");
    fs::remove_dir_all(house.path("acme/..2026_1")).expect("a folder");
    assert!(!house.after(0) && !house.after(999));
    assert!(house.after(1));
    assert_eq!(house.told, [with_manifest("acme/orders", "# new", &["1"])]);
    // A key is removed, which leaves its link without a target until that is removed as well.
    house.write("acme/..2026_3/refunds.wasm", "333");
    house.turn("..2026_3", "acme/..data");
    house.link("..data/refunds.wasm", "acme/refunds.wasm");
    house.after(500);
    house.remove("acme/orders.toml");
    house.remove("acme/orders.wasm");
    house.later();
    assert_eq!(house.told, [handler("acme/refunds", &["333"])]);
    assert_eq!(house.alerts, [""; 0]);
}

#[test]
fn a_volume_that_is_the_whole_directory() {
    let mut house = House::fresh(&[
        ("..2026_1/acme/a.wasm", "1"),
        ("..2026_1/acme/b.wasm", "1"),
        ("..2026_1/shop/orders.wasm", "1"),
    ]);
    house.link("..2026_1", "..data");
    house.link("..data/acme", "acme");
    house.link("..data/shop", "shop");
    assert_eq!(house.later(), ["acme/a", "acme/b", "shop/orders"].map(|name| handler(name, &["1"])));
    house.write("..2026_2/acme/a.wasm", "22");
    house.write("..2026_2/acme/c.wasm", "22");
    house.write("..2026_2/shop/orders.wasm", "1");
    house.turn("..2026_2", "..data");
    assert!(!house.after(0) && house.after(1_000), "all of it in one snapshot");
    let expected = [handler("acme/a", &["22"]), handler("acme/c", &["22"]), handler("shop/orders", &["1"])];
    assert_eq!(house.told, expected);
}

#[test]
fn a_directory_that_is_itself_a_link() {
    let mut house = House::fresh(&[]);
    for (release, content) in [("1", "1"), ("2", "22")] {
        let folder = house.folder.path().join("releases").join(release).join("acme");
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("orders.wasm"), content).expect("a file");
    }
    let directory = house.folder.path().join("handlers");
    symlink("releases/1", &directory).expect("a link");
    assert_eq!(house.later(), [handler("acme/orders", &["1"])]);
    fs::remove_file(&directory).expect("a link");
    house.after(100);
    symlink("releases/2", &directory).expect("a link");
    assert_eq!(house.later(), [handler("acme/orders", &["22"])]);
    assert_eq!(house.alerts, [""; 0]);
}

#[test]
fn a_link_that_is_turned_to_the_same_bytes_is_no_news() {
    let mut house = House::fresh(&[("acme/v1/x.wasm", "1"), ("acme/v2/x.wasm", "1")]);
    house.link("v1/x.wasm", "acme/orders.wasm");
    house.later();
    house.turn("v2/x.wasm", "acme/orders.wasm");
    assert!((0..20).all(|_| !house.after(250)));
    assert_eq!(house.told, [handler("acme/orders", &["1"])]);
}
