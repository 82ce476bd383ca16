//! Whatever is done to the directory, what counts in the end is what lies there.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

const SEQUENCES: u64 = 1_000;
const STEPS: usize = 30;
const TENANTS: [&str; 2] = ["acme", "shop"];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A directory to which random things are done.
struct Chaos {
    house: House,
    random: fastrand::Rng,
    /// Each content has a length of its own, so that no two look alike.
    written: usize,
    /// How halves would be told, as a manifest or a component: none of them may ever count.
    halves: Vec<String>,
}

impl Chaos {
    fn pick(&mut self, of: &[&str]) -> String {
        self.random.choice(of).map(|name| (*name).to_owned()).expect("there is one")
    }

    fn any_file(&mut self) -> String {
        let extension = self.pick(&["toml", "wasm", "wasm", "wasm~", "toml.tmp"]);
        let dot = self.pick(&["", "", "", "", "."]);
        format!("{}/{dot}{}.{extension}", self.pick(&TENANTS), self.pick(&NAMES))
    }

    fn content(&mut self, file: &str) -> String {
        self.written += 1;
        let unique = format!("#{}{}", self.written, "#".repeat(40 * self.written));
        match self.random.u8(..4) {
            0 if file.contains(".toml") => format!("component = \"{}.wasm\" {unique}", self.pick(&NAMES)),
            1 if file.contains(".toml") => format!("component = \"v/{}.wasm\" {unique}", self.pick(&NAMES)),
            _ => unique,
        }
    }

    /// Where a folder is missing, or a link leads nowhere, nothing is written.
    fn write(&self, file: &str, content: &str) {
        let path = self.house.path(file);
        let _ = fs::create_dir_all(path.parent().expect("a folder")).and_then(|()| fs::write(path, content));
    }

    fn step(&mut self) {
        let (file, other) = (self.any_file(), self.any_file());
        let content = self.content(&file);
        let path = self.house.path(&file);
        // Many of these fail, since what they are about is not there.
        match self.random.u8(..10) {
            0..=2 => self.write(&file, &content),
            3 => {
                let half = &content[..content.len() - 1];
                self.halves.extend([format!(": {half} | "), digest(half.as_bytes()).to_string()]);
                self.write(&file, half);
                self.wait(999);
                self.write(&file, &content);
            }
            4 => _ = fs::rename(path, self.house.path(&other)),
            5 => _ = fs::remove_file(path),
            6 => _ = fs::remove_dir_all(self.house.path(&file[..4])),
            7 => {
                let component = format!("{}/v/{}.wasm", &file[..4], self.pick(&NAMES));
                self.write(&component, &content);
            }
            8 => {
                let target = format!("v/{}.wasm", self.pick(&NAMES));
                let _ = fs::remove_file(&path).and_then(|()| symlink(target, path));
            }
            _ => self.wait(2_000),
        }
        if self.random.bool() {
            self.wait(400);
        }
        if self.random.u8(..20) == 0 {
            self.house.watch.confirm();
        }
    }

    /// Looks a few times, and less than so many milliseconds pass.
    fn wait(&mut self, milliseconds: u64) {
        let looks = self.random.u64(1..=4);
        for _ in 0..looks {
            let passes = self.random.u64(..milliseconds / looks);
            self.look(passes);
        }
    }

    fn look(&mut self, milliseconds: u64) {
        self.house.after(milliseconds);
        let half = self.house.told.iter().find(|line| self.halves.iter().any(|half| line.contains(&**half)));
        assert_eq!(half, None, "half a file counts");
    }

    fn run(&mut self) {
        self.look(0);
        (0..STEPS).for_each(|_| self.step());
        // Once before what went last counts, once when all of it does.
        self.house.watch.confirm();
        (0..10).for_each(|_| self.look(500));
        self.house.watch.confirm();
        (0..10).for_each(|_| self.look(500));
        assert_eq!(self.house.told, lies_there(&self.house.path("")));
        assert!(self.house.watch.alerts().next().is_none() && !self.house.watch.is_settling());
    }
}

/// What lies in a directory, as somebody would see who reads it once.
fn lies_there(directory: &Path) -> Vec<String> {
    let mut handlers = Vec::new();
    for tenant in TENANTS {
        let folder = directory.join(tenant);
        let lies = |name: &str| folder.join(name).symlink_metadata().is_ok();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_else(|_| "(is not there)".to_owned());
        let component = |name: &str| match read(name) {
            missing if missing.starts_with('(') => missing,
            content => digest(content.as_bytes()).to_string(),
        };
        let manifests = NAMES.iter().map(|name| (*name, format!("{name}.toml"))).filter(|(_, file)| lies(file));
        let manifests: BTreeMap<&str, String> = manifests.map(|(name, file)| (name, read(&file))).collect();
        let named = |(name, text): (&&str, &String)| {
            text.split('"').nth(1).map_or_else(|| format!("{name}.wasm"), str::to_owned)
        };
        let taken: BTreeSet<String> = manifests.iter().map(named).collect();
        for name in NAMES {
            let beside = format!("{name}.wasm");
            if let Some((name, text)) = manifests.get_key_value(name) {
                handlers.push(format!("{tenant}/{name}: {text} | {}", component(&named((name, text)))));
            } else if lies(&beside) && !taken.contains(&beside) {
                handlers.push(format!("{tenant}/{name}: {}", component(&beside)));
            }
        }
    }
    handlers
}

#[test]
fn what_counts_in_the_end_is_what_lies_there() {
    // To see a failure again: the seed that it printed, as CALLGATE_SEED.
    let given = std::env::var("CALLGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = given.unwrap_or_else(|| fastrand::u64(..));
    for seed in (0..SEQUENCES).map(|index| first.wrapping_add(index)) {
        println!("seed {seed}");
        let mut chaos =
            Chaos { house: House::fresh(&[]), random: fastrand::Rng::with_seed(seed), written: 0, halves: Vec::new() };
        chaos.run();
    }
}
