//! Loading compiled code: the one place of the room that needs `unsafe`.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;
use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

use super::DESCRIPTORS;
use super::artifact::Artifact;

/// Maps the compiled code of an artifact into memory.
pub(super) fn load(engine: &Engine, artifact: &Artifact) -> wasmtime::Result<Component> {
    // The very file that was verified, even where its name has been given to another or to none.
    let file = Path::new(DESCRIPTORS).join(artifact.code().as_raw_fd().to_string());
    // SAFETY: wasmtime trusts the file to be its own output, unchanged while it is mapped. An `Artifact` comes only
    // from the cache: a folder that nobody but our own user may write, a file that was verified after it was opened,
    // that is still open here, and that is only ever unlinked or given up for another, never changed in place.
    unsafe { Component::deserialize_file(engine, file) }
}
