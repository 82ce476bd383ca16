//! What a worker runs the components of one profile in, and those that it has loaded.

use std::cell::RefCell;

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi_http::{p2, p3};

use super::artifact::Artifact;
use super::exports::Wasi;
use super::guest::Guest;
use super::instance::Exports;
use super::loaded::Loaded;
use super::profile::Profile;
use super::{CallError, Settings, engine, load};

/// An engine, and all that belongs to it. Workers share the pages of compiled code, and nothing else.
pub(super) struct Sandbox {
    profile: Profile,
    engine: Engine,
    linker: Linker<Guest>,
    loaded: RefCell<Loaded<Linked>>,
}

/// A component that is ready to be instantiated.
#[derive(Clone)]
pub(super) enum Linked {
    P2(p2::bindings::ProxyPre<Guest>),
    P3(p3::bindings::ServicePre<Guest>),
}

impl Sandbox {
    pub(super) fn new(profile: Profile, settings: &Settings) -> wasmtime::Result<Self> {
        let engine = engine::running(settings, profile)?;
        let linker = Guest::linker(&engine, profile.wasi())?;
        Ok(Self { profile, engine, linker, loaded: RefCell::default() })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A store for one guest.
    pub(super) fn store(&self, guest: Guest) -> Store<Guest> {
        guest.into_store(&self.engine, self.profile.wasi())
    }

    /// The component of an artifact of this profile, loaded if it is not yet.
    ///
    /// # Errors
    ///
    /// [`CallError::Overload`] where it cannot be loaded.
    pub(super) fn component(&self, artifact: &Artifact) -> Result<Linked, CallError> {
        self.loaded.borrow_mut().get(artifact.digest(), || {
            self.load(artifact)
                .and_then(|component| self.link(&component))
                .map_err(|error| CallError::Overload(format!("the component cannot be loaded: {error:#}")))
        })
    }

    /// Maps its code.
    pub(super) fn load(&self, artifact: &Artifact) -> wasmtime::Result<Component> {
        load::load(&self.engine, artifact)
    }

    /// Finds what it imports, and what it exports.
    pub(super) fn link(&self, component: &Component) -> wasmtime::Result<Linked> {
        let linked = self.linker.instantiate_pre(component)?;
        Ok(match self.profile.wasi() {
            Wasi::P2 => Linked::P2(p2::bindings::ProxyPre::new(linked)?),
            Wasi::P3 => Linked::P3(p3::bindings::ServicePre::new(linked)?),
        })
    }
}

impl Linked {
    /// Makes an instance of it.
    pub(super) async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Exports> {
        Ok(match self {
            Self::P2(component) => Exports::P2(component.instantiate_async(store).await?),
            Self::P3(component) => Exports::P3(component.instantiate_async(store).await?),
        })
    }
}
