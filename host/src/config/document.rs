//! One TOML file while it is read: its text, its lines, and the faults found in it so far.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

use super::fault::{Code, Fault, Place};
use super::overrides::Overrides;
use super::reader::Section;
use super::references::References;

/// A file's name, as it is shown to people, and its text.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: Arc<str>,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn line(&self, offset: usize) -> Place {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        Place::Line(self.name.clone(), 1 + before.iter().filter(|byte| **byte == b'\n').count())
    }
}

/// What every section of one file shares while it is read.
pub(crate) struct Document<'a> {
    source: &'a Source,
    pub(crate) references: References<'a>,
    pub(crate) overrides: Option<&'a Overrides>,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Document<'a> {
    /// Reads a file: `read` takes from its root what it knows, and whatever it does not take is a fault.
    ///
    /// All faults are found in one go. Only a file that is not TOML is not read any further, since what could still be
    /// understood of it may not be what was meant: the result is `None` then.
    pub(crate) fn read<T>(
        source: &'a Source,
        references: References<'a>,
        overrides: Option<&'a Overrides>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> (Option<T>, Vec<Fault>) {
        let (root, errors) = DeTable::parse_recoverable(&source.text);
        if !errors.is_empty() {
            return (None, syntax_faults(source, &errors));
        }
        let document = Document { source, references, overrides, faults: RefCell::default() };
        let mut section = Section::root(&document, root.get_ref());
        let value = read(&mut section);
        section.finish();
        let mut faults = document.faults.into_inner();
        faults.extend(overrides.map(Overrides::faults).unwrap_or_default());
        faults.sort_by(|a, b| a.place.cmp(&b.place));
        (Some(value), faults)
    }

    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        self.source.line(span.start)
    }

    /// The file as a whole, for what is missing from it.
    pub(crate) fn whole(&self) -> Place {
        Place::File(self.source.name.clone())
    }

    pub(crate) fn report(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// How many faults were found so far: by comparing, a reader learns whether a section is sound.
    pub(crate) fn fault_count(&self) -> usize {
        self.faults.borrow().len()
    }
}

/// Of a line the first error is enough: what follows on the same line mostly follows from it, up to one error a character.
fn syntax_faults(source: &Source, errors: &[toml::de::Error]) -> Vec<Fault> {
    let mut faults: Vec<Fault> = errors.iter().map(|error| syntax_fault(source, error)).collect();
    faults.sort_by(|a, b| a.place.cmp(&b.place));
    faults.dedup_by(|a, b| a.place == b.place);
    faults
}

fn syntax_fault(source: &Source, error: &toml::de::Error) -> Fault {
    let place = error.span().map_or_else(|| Place::File(source.name.clone()), |span| source.line(span.start));
    Fault::new(&place, Code::Syntax, format!("this is not TOML: {}", error.message()), "correct the line")
}
