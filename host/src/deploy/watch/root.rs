//! The deploy directory itself: which tenants have a folder there.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::super::place;
use super::folder::not_read;
use super::listing::{handler_of, list};
use crate::config::{Code, Fault, is_name};

/// What was found of the directory itself.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// The folders, and links to folders.
    pub(super) tenants: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
    /// Why it has nothing at all, as the end of a sentence about it, where that is so.
    pub(super) emptied: Option<String>,
}

/// Looks at the deploy directory. One that does not exist holds nothing yet, which is no fault.
pub(super) fn look(directory: &Path) -> Root {
    let listing = match list(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Root { emptied: Some("is not there".to_owned()), ..Root::default() };
        }
        Err(error) => {
            let fault = not_read(directory, &error);
            return Root { emptied: Some(format!("cannot be read: {error}")), faults: vec![fault], ..Root::default() };
        }
    };
    let mut root = Root { faults: listing.faults, ..Root::default() };
    if listing.entries.is_empty() {
        root.emptied = Some("is empty".to_owned());
    }
    for (name, entry) in listing.entries {
        match is_folder(&name, &entry) {
            true => _ = root.tenants.insert(name),
            false if handler_of(&name).is_some() => {
                let hint = "move it into the folder of its tenant";
                let message = "a manifest or component that lies beside the tenants' folders is nobody's";
                root.faults.push(Fault::new(&place(&entry.path()), Code::StrayFile, message, hint));
            }
            false => {}
        }
    }
    root.faults.sort_by(|a, b| a.place.cmp(&b.place));
    root
}

/// Whether it is a tenant's folder. A link of a tenant's name that leads nowhere is one that cannot be read: what it led
/// to may only be away for a while.
fn is_folder(name: &str, entry: &DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => fs::metadata(entry.path()).map_or(is_name(name), |about| about.is_dir()),
        Ok(kind) => kind.is_dir(),
        Err(_) => false,
    }
}
