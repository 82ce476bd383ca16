//! The clock is an argument, so that no test waits. Contents differ in length wherever the same file is written twice:
//! the system's own clock may not tick between two writes of a test.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::component::digest;
use super::*;

mod links;
mod losses;
mod random;
mod settling;
mod swaps;

/// A deploy directory and the watch over it.
struct House {
    folder: TempDir,
    watch: Watch,
    now: Instant,
    /// What the watch told last.
    told: Vec<String>,
    alerts: Vec<String>,
}

impl House {
    /// With these files, which have lain there for long.
    fn new(files: &[(&str, &str)]) -> Self {
        let mut house = Self::fresh(files);
        house.look_at(SystemTime::now() + Duration::from_secs(60));
        house
    }

    /// With these files, at which nobody has looked.
    fn fresh(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let watch = Watch::new(folder.path().join("handlers"), verify);
        let house = Self { folder, watch, now: Instant::now(), told: Vec::new(), alerts: Vec::new() };
        files.iter().for_each(|(name, content)| house.write(name, content));
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("handlers").join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("a file");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("a file");
    }

    fn link(&self, target: &str, name: &str) {
        fs::create_dir_all(self.path(name).parent().expect("a folder")).expect("a folder");
        symlink(target, self.path(name)).expect("a link");
    }

    fn look_at(&mut self, day: SystemTime) -> bool {
        match self.watch.look_at(self.now, day) {
            Look::Unchanged => false,
            Look::Changed(snapshot) => {
                self.told = summary(&snapshot);
                true
            }
            Look::Missing(alert) => {
                self.alerts.push(alert.message);
                false
            }
        }
    }

    /// Lets so much time pass and looks; returns whether something has changed.
    fn after(&mut self, milliseconds: u64) -> bool {
        self.now += Duration::from_millis(milliseconds);
        self.look_at(SystemTime::now())
    }

    /// Looks as a host does, for some seconds; returns what then counts.
    fn later(&mut self) -> &[String] {
        (0..20).for_each(|_| _ = self.after(250));
        &self.told
    }
}

thread_local! {
    /// Components that were read.
    static READ: Cell<usize> = const { Cell::new(0) };
    /// What happens while one is read.
    static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn verify(bytes: &[u8]) -> Result<(), String> {
    READ.set(READ.get() + 1);
    if let Some(act) = MEANWHILE.take() {
        act();
    }
    if bytes.starts_with(b"bad") { Err("it is bad".to_owned()) } else { Ok(()) }
}

/// `tenant/handler: manifest | component, ..`, then the faults of folders.
fn summary(snapshot: &Snapshot) -> Vec<String> {
    let handlers = snapshot.tenants.iter().flat_map(|(tenant, sources)| {
        sources.iter().map(move |source| {
            let manifest = source.manifest.as_ref().map(|manifest| match manifest {
                Ok(text) => format!("{text} | "),
                Err(refused) => format!("({refused}) | "),
            });
            let components = source.components.values().map(|component| match component {
                Ok(examined) => examined.digest.to_string(),
                Err(refused) => format!("({refused})"),
            });
            let components = components.collect::<Vec<_>>().join(", ");
            format!("{tenant}/{}: {}{components}", source.name, manifest.unwrap_or_default())
        })
    });
    handlers.chain(snapshot.faults.iter().map(|fault| format!("{}: {}", fault.code, fault.message))).collect()
}

/// A handler as the summary has it.
fn handler(name: &str, components: &[&str]) -> String {
    let components: Vec<_> = components.iter().map(|content| digest(content.as_bytes()).to_string()).collect();
    format!("{name}: {}", components.join(", "))
}

fn with_manifest(name: &str, manifest: &str, components: &[&str]) -> String {
    handler(name, components).replacen(": ", &format!(": {manifest} | "), 1)
}
