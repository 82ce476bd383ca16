//! Files that are not there for the taking: out of the folder, no files, unreadable.

use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

const OUTSIDE: &str = "(is a link that leads out of the tenant's folder)";

#[test]
fn no_link_leads_out_of_a_tenants_folder() {
    let mut house = House::fresh(&[("shop/secret.wasm", "2"), ("shop/secret.toml", "# theirs")]);
    fs::write(house.folder.path().join("host.wasm"), "3").expect("a file");
    let absolute = house.folder.path().join("host.wasm");
    // Into the neighbour's folder, out of the directory, to the host's own files; through a chain of links that stays
    // inside until its end, through a folder that is a link, and through one that comes back.
    house.link("../shop/secret.wasm", "acme/a.wasm");
    house.link("../../host.wasm", "acme/b.wasm");
    house.link(&absolute.to_string_lossy(), "acme/c.wasm");
    house.link("/etc/passwd", "acme/d.wasm");
    house.link("chain/1", "acme/e.wasm");
    house.link("./2", "acme/chain/1");
    house.link("../chain/3", "acme/chain/2");
    house.link("../../shop/secret.wasm", "acme/chain/3");
    house.link("../shop", "acme/folder");
    house.link("folder/secret.wasm", "acme/f.wasm");
    house.write("acme/g.toml", "component = \"folder/secret.wasm\"");
    house.link("../shop/secret.toml", "acme/h.toml");
    house.link("/proc/self/environ", "acme/i.toml");
    house.link("../acme/real.wasm", "acme/j.wasm");
    house.write("acme/real.wasm", "1");
    house.later();
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert!(house.told.contains(&format!("acme/{name}: {OUTSIDE}")), "{name}: {:?}", house.told);
    }
    assert!(house.told.contains(&format!("acme/g: component = \"folder/secret.wasm\" | {OUTSIDE}")));
    for name in ["h", "i"] {
        assert!(house.told.contains(&format!("acme/{name}: {OUTSIDE} | (is not there)")), "{:?}", house.told);
    }
    assert!(house.told.contains(&handler("acme/j", &["1"])), "out and in again is in");
    assert!(house.told.iter().filter(|line| line.starts_with("acme/")).all(|line| !line.contains("theirs")));
}

#[test]
fn a_path_in_a_manifest_that_leads_out_is_not_even_looked_at() {
    let house = House::new(&[
        ("acme/a.toml", "component = \"../shop/secret.wasm\""),
        ("acme/b.toml", "component = \"/etc/passwd\""),
        ("acme/c.toml", "component = \"x/../../shop/secret.wasm\""),
        ("shop/secret.wasm", "2"),
    ]);
    let secret = digest(b"2");
    assert!(house.told[..3].iter().all(|line| line.ends_with("| ") && !line.contains(&*secret)), "{:?}", house.told);
}

#[test]
fn a_link_that_is_turned_out_of_the_folder_later_is_noticed() {
    let mut house = House::fresh(&[("acme/v1.wasm", "1"), ("shop/v1.wasm", "1")]);
    house.link("v1.wasm", "acme/orders.wasm");
    house.later();
    fs::hard_link(house.path("acme/v1.wasm"), house.path("shop/same.wasm")).expect("a file");
    house.later();
    house.remove("acme/orders.wasm");
    house.link("../shop/same.wasm", "acme/orders.wasm");
    house.later();
    assert!(house.told.contains(&format!("acme/orders: {OUTSIDE}")), "{:?}", house.told);
}

#[test]
fn a_link_that_is_put_there_meanwhile_leads_nowhere() {
    let house = House::fresh(&[("acme/folder/mine", "mine"), ("secret/mine", "secret")]);
    let root = house.path("acme");
    let ends = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flips = || {
            while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                house.rename("acme/folder", "acme/real");
                house.link("../secret", "acme/folder");
                house.remove("acme/folder");
                house.rename("acme/real", "acme/folder");
            }
        };
        scope.spawn(flips);
        let mut seen = BTreeSet::new();
        for _ in 0..5_000 {
            match super::super::super::file::read_inside(&root, "folder/mine".as_ref(), 100) {
                Ok(bytes) => assert_eq!(bytes, b"mine"),
                Err(refused) => _ = seen.insert(refused.to_string()),
            }
        }
        ends.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("besides, it {seen:?}");
    });
}

#[test]
fn what_is_no_file_is_refused_and_blocks_nothing() {
    let mut house = House::fresh(&[("acme/good.wasm", "1"), ("acme/folder.wasm/x", ""), ("acme/also.toml/x", "")]);
    mknodat(CWD, house.path("acme/fifo.wasm"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    mknodat(CWD, house.path("acme/pipe.toml"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let _listener = UnixListener::bind(house.path("acme/socket.wasm")).expect("a socket");
    house.link("loop.wasm", "acme/loop.wasm");
    house.link("nowhere", "acme/nowhere.wasm");
    fs::write(house.path("acme/latin.toml"), b"# caf\xe9").expect("a file");
    fs::File::create(house.path("acme/huge.wasm")).and_then(|file| file.set_len(1 << 40)).expect("a file");
    fs::File::create(house.path("acme/long.toml")).and_then(|file| file.set_len(2 << 20)).expect("a file");
    let expected = [
        "acme/also: (is a folder and no file) | (is not there)",
        "acme/fifo: (is a FIFO and no file)",
        "acme/folder: (is a folder and no file)",
        &handler("acme/good", &["1"]),
        "acme/huge: (has more than 128 MiB)",
        "acme/latin: (is not UTF-8) | (is not there)",
        "acme/long: (has more than 1 MiB) | (is not there)",
        "acme/loop: (cannot be read: Too many levels of symbolic links (os error 40))",
        "acme/nowhere: (is not there)",
        "acme/pipe: (is a FIFO and no file) | (is not there)",
        "acme/socket: (is a socket and no file)",
    ];
    assert_eq!(house.later(), expected);
    // What could not be read is tried again, and is no news as long as it cannot.
    assert!((0..10).all(|_| !house.after(250)));
    house.remove("acme/loop.wasm");
    house.write("acme/loop.wasm", "1");
    house.later();
    assert!(house.told.contains(&handler("acme/loop", &["1"])));
}

#[test]
fn a_file_that_may_not_be_read_is_refused_until_it_may() {
    use std::os::unix::fs::PermissionsExt;
    let mut house = House::new(&[("acme/good.wasm", "1"), ("acme/orders.wasm", "1")]);
    let allow = |house: &House, mode| {
        fs::set_permissions(house.path("acme/orders.wasm"), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    allow(&house, 0o000);
    if fs::read(house.path("acme/orders.wasm")).is_ok() {
        return; // Nothing is forbidden to root.
    }
    house.later();
    assert_eq!(house.told[1], "acme/orders: (cannot be read: Permission denied (os error 13))");
    allow(&house, 0o600);
    assert_eq!(house.later(), ["acme/good", "acme/orders"].map(|name| handler(name, &["1"])));
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_told() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut house = House::fresh(&[("acme/orders.wasm", "1")]);
    fs::write(house.path("acme").join(OsStr::from_bytes(b"caf\xe9.wasm")), "1").expect("a file");
    fs::create_dir(house.path("").join(OsStr::from_bytes(b"\xe9"))).expect("a folder");
    house.later();
    assert_eq!(house.told[0], handler("acme/orders", &["1"]));
    assert!(house.told[1].starts_with("config.invalid-name: the name \"caf\u{fffd}.wasm\" is not UTF-8"));
    assert_eq!(house.told.len(), 2);
}
