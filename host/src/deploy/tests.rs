use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::config::{Environment, PropertyCheck};

/// An operator's file and a deploy directory.
struct House {
    folder: TempDir,
}

impl House {
    /// With these files, by their paths within the deploy directory.
    fn new(files: &[(&str, &str)]) -> Self {
        let house = Self { folder: tempfile::tempdir().expect("a folder") };
        let operator = "[kafka]\nbootstrap_servers = \"localhost:9092\"\n[tenants.default]\n";
        fs::write(house.folder.path().join("callgate.toml"), operator).expect("a file");
        for (name, content) in files {
            let path = house.path(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, content).expect("a file");
        }
        house
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("handlers").join(name)
    }

    fn read(&self) -> Deployment {
        self.read_with(|_| Ok(()))
    }

    fn read_with(&self, verify: Verify) -> Deployment {
        let path = self.folder.path().join("callgate.toml");
        let read = Operator::read(&path, &Environment::default(), PropertyCheck::NONE);
        assert_eq!(read.faults, []);
        let operator = read.operator.expect("a sound file");
        super::read(&operator, &Snapshot::now(&operator.deploy.directory, verify))
    }
}

/// What was found: `tenant/handler`, and its group or the codes of its faults.
fn summary(deployment: &Deployment) -> Vec<String> {
    let lines = deployment.handlers.iter().map(|found| {
        let outcome = match &found.outcome {
            Ok(handler) => handler.group.to_string(),
            Err(faults) => faults.iter().map(|fault| fault.code.as_str()).collect::<Vec<_>>().join(" "),
        };
        format!("{}/{}: {outcome}", found.tenant, found.name)
    });
    lines.collect()
}

#[test]
fn a_directory_that_is_not_there_yet_holds_nothing() {
    let deployment = House::new(&[]).read();
    assert!(deployment.handlers.is_empty() && deployment.faults.is_empty());
}

#[test]
fn manifests_and_components_alone_are_handlers_in_order() {
    let house = House::new(&[
        ("shop/orders.wasm", "1"),
        ("shop/refunds.toml", "component = \"./v2/refunds.wasm\"\ngroup = \"money\""),
        ("shop/v2/refunds.wasm", "2"),
        ("acme/orders.wasm", "1"),
        ("acme/README.md", "for people"),
        ("lost+found/x", ""),
        (".git/config.toml", ""),
        ("acme/.orders.toml.swp", ""),
    ]);
    let deployment = house.read();
    assert_eq!(deployment.faults, []);
    let expected = ["acme/orders: callgate.acme", "shop/orders: callgate.shop", "shop/refunds: callgate.shop.money"];
    assert_eq!(summary(&deployment), expected);
    let digest = "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    let component = deployment.handlers[0].outcome.as_ref().map(|handler| &*handler.component.digest);
    assert_eq!(component, Ok(digest));
}

#[test]
fn a_component_that_a_manifest_names_is_no_handler_of_its_own_even_if_the_manifest_is_faulty() {
    let house = House::new(&[
        ("acme/orders.toml", "component = \"v2.wasm\"\nmiddleware = [\"auth.wasm\"]\nroutes =\n"),
        ("acme/v2.wasm", "2"),
        ("acme/auth.wasm", "3"),
    ]);
    assert_eq!(summary(&house.read()), ["acme/orders: config.syntax"]);
}

#[test]
fn a_faulty_handler_is_refused_alone() {
    let house = House::new(&[
        ("acme/good.wasm", "1"),
        ("acme/bad.toml", "colour = 1"),
        ("acme/bad.wasm", "1"),
        ("acme/broken.wasm", "2"),
    ]);
    let deployment = house.read_with(|bytes| if bytes == b"2" { Err("it is broken".to_owned()) } else { Ok(()) });
    let expected =
        ["acme/bad: config.unknown-key", "acme/broken: deploy.component-refused", "acme/good: callgate.acme"];
    assert_eq!(summary(&deployment), expected);
}

#[test]
fn handlers_of_different_groups_or_tenants_may_share_a_topic() {
    let route = "[[routes]]\ntopic = \"acme.orders\"\n";
    let own = format!("group = \"audit\"\n{route}");
    let house = House::new(&[
        ("acme/a.toml", route),
        ("acme/a.wasm", "1"),
        ("acme/b.toml", &own),
        ("acme/b.wasm", "1"),
        ("acme/c.toml", "[[routes]]\ntopic_pattern = \"acme\\\\.o.*\"\n"),
        ("acme/c.wasm", "1"),
    ]);
    let expected =
        ["acme/a: manifest.topic-conflict", "acme/b: callgate.acme.audit", "acme/c: manifest.topic-conflict"];
    assert_eq!(summary(&house.read()), expected);
}

#[test]
fn a_faulty_handler_takes_no_topic_from_a_sound_one_and_is_told_of_it() {
    let route = "[[routes]]\ntopic = \"acme.orders\"\n";
    let house = House::new(&[("acme/new.toml", route), ("acme/new.wasm", "2"), ("acme/orders.wasm", "1")]);
    let deployment = house.read_with(|bytes| if bytes == b"2" { Err("it is broken".to_owned()) } else { Ok(()) });
    let expected = ["acme/new: deploy.component-refused manifest.topic-conflict", "acme/orders: callgate.acme"];
    assert_eq!(summary(&deployment), expected);
}

#[test]
fn each_tenants_first_group_has_a_client_before_any_tenants_second() {
    let house = House::new(&[
        ("acme/a.wasm", "1"),
        ("acme/b.toml", "group = \"b\""),
        ("acme/b.wasm", "1"),
        ("acme/c.toml", "group = \"c\""),
        ("acme/c.wasm", "1"),
        ("acme/d.wasm", "1"),
        ("shop/a.wasm", "1"),
    ]);
    let operator =
        "[kafka]\nbootstrap_servers = \"localhost:9092\"\n[limits]\nmax_client_sets = 3\n[tenants.default]\n";
    fs::write(house.folder.path().join("callgate.toml"), operator).expect("a file");
    let expected = [
        "acme/a: callgate.acme",
        "acme/b: callgate.acme.b",
        "acme/c: deploy.too-many-client-sets",
        "acme/d: callgate.acme",
        "shop/a: callgate.shop",
    ];
    assert_eq!(summary(&house.read()), expected);
}

#[test]
fn a_manifest_of_nothing_but_faults_is_told_in_a_hundred_lines() {
    let keys: String = (0..5000).map(|n| format!("k{n} = 1\n")).collect();
    let deployment = House::new(&[("acme/a.toml", &keys), ("acme/a.wasm", "1")]).read();
    let faults = deployment.handlers[0].outcome.as_ref().expect_err("a faulty handler");
    assert_eq!(faults.len(), 101);
    assert_eq!(faults[100].message, "4900 more faults like those before");
}

#[test]
fn a_handler_has_so_many_routes_and_variables_and_no_more() {
    let routes = |count| (0..count).map(|n| format!("[[routes]]\ntopic = \"acme.{n}\"\n")).collect::<String>();
    let variables = |count| (0..count).map(|n| format!("V{n} = \"\"\n")).collect::<String>();
    let manifest = |env, topics| format!("[env]\n{}{}", variables(env), routes(topics));
    for (text, sound) in [(manifest(256, 256), true), (manifest(257, 1), false), (manifest(1, 257), false)] {
        let deployment = House::new(&[("acme/a.toml", &text), ("acme/a.wasm", "1")]).read();
        let expected = if sound { "callgate.acme" } else { "config.invalid-value" };
        assert_eq!(summary(&deployment), [format!("acme/a: {expected}")]);
    }
}

#[test]
fn what_a_tenants_manifests_may_take_is_bounded_and_others_have_their_own() {
    let routes: String = (0..250).map(|n| format!("[[routes]]\ntopic = \"acme.{n}\"\n")).collect();
    let manifests: Vec<_> =
        (10..30).map(|n| (format!("acme/h{n}.toml"), format!("group = \"g{n}\"\n{routes}"))).collect();
    let mut files: Vec<_> = manifests.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let components: Vec<_> = (10..30).map(|n| format!("acme/h{n}.wasm")).collect();
    files.extend(components.iter().map(|name| (name.as_str(), "1")));
    files.push(("shop/orders.wasm", "1"));
    let found = summary(&House::new(&files).read());
    let expected = |n| match n {
        // 16 times 250 are within 4,096.
        10..26 => format!("acme/h{n}: callgate.acme.g{n}"),
        _ => format!("acme/h{n}: manifest.over-limit"),
    };
    assert_eq!(found[..20], (10..30).map(expected).collect::<Vec<_>>());
    assert_eq!(found[20], "shop/orders: callgate.shop");
}

#[cfg(unix)]
#[test]
fn links_are_followed_within_the_tenants_folder_and_not_out_of_it() {
    use std::os::unix::fs::symlink;
    // As Kubernetes mounts a volume: the names are links into a folder that begins with dots.
    let house = House::new(&[
        ("acme/..2024/orders.toml", ""),
        ("acme/..2024/orders.wasm", "1"),
        ("shop/secret.toml", ""),
        ("shop/secret.wasm", "2"),
    ]);
    symlink("..2024", house.path("acme/..data")).expect("a link");
    symlink("..data/orders.toml", house.path("acme/orders.toml")).expect("a link");
    symlink("..data/orders.wasm", house.path("acme/orders.wasm")).expect("a link");
    symlink("../shop/secret.wasm", house.path("acme/stolen.wasm")).expect("a link");
    symlink(Path::new("../shop/secret.toml"), house.path("acme/theirs.toml")).expect("a link");
    fs::write(house.path("acme/theirs.wasm"), "3").expect("a file");
    let expected = [
        "acme/orders: callgate.acme",
        "acme/stolen: deploy.path-outside",
        "acme/theirs: deploy.path-outside",
        "shop/secret: callgate.shop",
    ];
    assert_eq!(summary(&house.read()), expected);
}

#[test]
fn a_component_that_has_changed_since_is_not_read() {
    let house = House::new(&[("acme/orders.wasm", "1")]);
    let deployment = house.read();
    let handler = deployment.handlers[0].outcome.as_ref().expect("a sound handler");
    assert_eq!(handler.component.read().expect("the component"), b"1");
    fs::write(house.path("acme/orders.wasm"), "2").expect("a file");
    assert!(handler.component.read().is_err());
}
