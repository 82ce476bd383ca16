//! The names in a folder.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::super::place;
use crate::config::{Code, Fault};

/// Names of a folder that are told to be none: each is a line of the log.
const MAX_FAULTS: usize = 20;

/// The names in a folder that may mean something.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) entries: Vec<(String, DirEntry)>,
    /// Names that nothing can be called by.
    pub(super) faults: Vec<Fault>,
}

/// Lists a folder, without names that start with a dot.
pub(super) fn list(folder: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_name().into_string() {
            Ok(name) if name.starts_with('.') => {}
            Ok(name) => listing.entries.push((name, entry)),
            Err(name) => {
                let name = name.to_string_lossy();
                if handler_of(&name).is_some() {
                    let message = format!("the name {name:?} is not UTF-8, and names no handler");
                    let hint = "rename it: a handler's name is of a-z, 0-9, `-` and `_`";
                    listing.faults.push(Fault::new(&place(&entry.path()), Code::InvalidName, message, hint));
                }
            }
        }
    }
    listing.faults.sort_by(|a, b| a.place.cmp(&b.place));
    listing.faults.truncate(MAX_FAULTS);
    Ok(listing)
}

/// The handler that a file of this name is a part of, if it is the name of a manifest or a component. What editors leave
/// behind has other names: `orders.toml~`, `#orders.toml#`, `4913`, `orders.toml.tmp`.
pub(super) fn handler_of(name: &str) -> Option<&str> {
    let handler = name.strip_suffix(".toml").or_else(|| name.strip_suffix(".wasm"))?;
    (!name.starts_with('.') && !name.contains('/')).then_some(handler)
}
