//! Loading compiled code: the one place of the room that needs `unsafe`.
#![allow(unsafe_code)]

use wasmtime::Engine;
use wasmtime::component::Component;

use super::artifact::Artifact;

/// Maps the compiled code of an artifact into memory.
pub(super) fn load(engine: &Engine, artifact: &Artifact) -> wasmtime::Result<Component> {
    // SAFETY: wasmtime trusts the file to be its own output, unchanged while it is mapped. An `Artifact` comes only
    // from the cache: a folder that nobody but our own user may write, a file that the cache wrote itself or whose
    // digest it has just checked, and that is only ever replaced by rename or unlinked, never changed in place.
    unsafe { Component::deserialize_file(engine, artifact.code()) }
}
