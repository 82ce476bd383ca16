//! The operator's file, `callgate.toml`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::{Document, Source};
use super::fault::{Code, Fault, Located, Place};
use super::kafka::{self, Kafka};
use super::overrides::Overrides;
use super::properties::{self, PropertyCheck};
use super::reader::Section;
use super::references::{Environment, References};
use super::secret::Secret;
use super::tenant::{self, TenantLookup, Tenants};
use super::units::{Bytes, Quantity};

/// Characters of a secret that nobody guesses, even where it is made of few different ones.
const CACHE_KEY: usize = 32;

/// The operator's file, resolved.
#[derive(Clone, Debug)]
pub struct Operator {
    /// `[kafka]`.
    pub kafka: Kafka,
    /// `[deploy]`.
    pub deploy: Deploy,
    /// `[limits]`.
    pub limits: HostLimits,
    /// `[admin]`.
    pub admin: Admin,
    /// `[tenants]`; see [`Operator::tenant`].
    tenants: Tenants,
}

/// `[deploy]`: where handlers lie.
#[derive(Clone, Debug)]
pub struct Deploy {
    /// The folder with a folder for each tenant. It may not exist yet.
    pub directory: PathBuf,
    /// The folder for compiled code, private to the host.
    pub cache: PathBuf,
    /// What compiled code is sealed with, where the folder is filled elsewhere or shared.
    pub cache_key: Option<Secret>,
    /// Nothing is wrong with this section, references in it included.
    pub is_sound: bool,
}

/// `[limits]`: what the host as a whole may use.
#[derive(Clone, Debug)]
pub struct HostLimits {
    /// Guests, bodies and client buffers together.
    pub memory: Memory,
    /// Worker threads; 0 is one a core.
    pub workers: usize,
    /// Tenants and own groups, each with its clients and their threads.
    pub max_client_sets: usize,
}

/// A bound on memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// A share of the cgroup's or the machine's memory, 1 to 100.
    Percent(u8),
    /// Bytes.
    Bytes(u64),
}

/// `[admin]`: the endpoint for probes and metrics.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The address it listens on.
    pub listen: SocketAddr,
}

/// What was read of the operator's file.
#[derive(Debug)]
pub struct OperatorRead {
    /// The settings; `None` where the file cannot be read or is not TOML. Where there are faults, a faulty value has
    /// its default: good enough to look for more faults, not to run.
    pub operator: Option<Operator>,
    /// All that is wrong.
    pub faults: Vec<Fault>,
}

impl Operator {
    /// The tenant of that name, which a folder of the deploy directory has.
    pub fn tenant(&self, name: &str) -> TenantLookup {
        self.tenants.get(name, &self.kafka)
    }

    /// Reads the operator's file, with the environment's overrides. `check` asks the Kafka client about properties.
    pub fn read(path: &Path, environment: &Environment, check: PropertyCheck<'_>) -> OperatorRead {
        let name: Arc<str> = path.to_string_lossy().into();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("the operator's file cannot be read: {error}");
                let hint = "name it with --config, or see docs/configuration.md for one to begin with";
                let fault = Fault::new(&Place::File(name), Code::FileNotRead, message, hint);
                return OperatorRead { operator: None, faults: vec![fault] };
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::read_text(Source { name, text }, folder, environment, check)
    }

    /// Reads what is written in `callgate.toml`'s language, but in no file: what `callgate dev` has instead of one.
    pub fn from_text(text: String) -> OperatorRead {
        let source = Source { name: "(built in)".into(), text };
        Self::read_text(source, Path::new(""), &Environment::default(), PropertyCheck::NONE)
    }

    fn read_text(source: Source, folder: &Path, environment: &Environment, check: PropertyCheck<'_>) -> OperatorRead {
        let overrides = Overrides::from_environment(environment);
        let references = References::Operator { environment, folder };
        let (operator, faults) =
            Document::read(&source, references, Some(&overrides), |root| read(root, folder, check));
        OperatorRead { operator, faults }
    }
}

fn read(root: &mut Section<'_>, folder: &Path, check: PropertyCheck<'_>) -> Operator {
    let kafka = root.within("kafka", |section| {
        let (kafka, sound) = section.is_sound(|section| kafka::read(section, folder, check));
        if sound {
            for fault in properties::check_together(&kafka.properties, &kafka.place, check) {
                section.add(fault);
            }
        }
        kafka
    });
    let tenants = tenant::read_all(root, &kafka, folder, check);
    Operator {
        deploy: root.within("deploy", |section| deploy(section, folder)),
        limits: root.within("limits", |section| HostLimits {
            memory: memory(section).unwrap_or(Memory::Percent(75)),
            workers: number(section, "workers", 0, 1024, 0),
            max_client_sets: number(section, "max_client_sets", 1, 100_000, 256),
        }),
        admin: root.within("admin", |section| Admin {
            listen: listen(section).unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 9464))),
        }),
        kafka,
        tenants,
    }
}

fn deploy(section: &mut Section<'_>, folder: &Path) -> Deploy {
    let (deploy, is_sound) = section.is_sound(|section| Deploy {
        directory: path(section, "directory", folder).unwrap_or_else(|| folder.join("handlers")),
        cache: path(section, "cache", folder).unwrap_or_else(|| PathBuf::from("/var/cache/callgate")),
        cache_key: cache_key(section),
        is_sound: false,
    });
    Deploy { is_sound, ..deploy }
}

fn cache_key(section: &mut Section<'_>) -> Option<Secret> {
    let Located { value, place } = section.text("cache_key", "${file:cache.key}")?;
    if value.value.len() >= CACHE_KEY {
        return Some(Secret::new(value.value));
    }
    let message =
        format!("`{}` has fewer than {CACHE_KEY} characters, so it can be guessed", section.path("cache_key"));
    section.report(&place, Code::InvalidValue, message, "write one that was made by chance: `openssl rand -hex 32`");
    None
}

/// A path. Relative ones start at the file that names them, or at the working directory if a variable does.
fn path(section: &mut Section<'_>, key: &'static str, folder: &Path) -> Option<PathBuf> {
    let Located { value, place } = section.text(key, "handlers")?;
    if value.value.is_empty() {
        section.report(
            &place,
            Code::InvalidValue,
            format!("`{}` is empty", section.path(key)),
            "write a path, or remove the key",
        );
        return None;
    }
    Some(match place {
        Place::Environment(_) => PathBuf::from(value.value),
        Place::File(_) | Place::Line(..) => folder.join(value.value),
    })
}

fn memory(section: &mut Section<'_>) -> Option<Memory> {
    let Located { value, place } = section.text("memory", "75%")?;
    let written = value.value.as_str();
    let percent = |digits: &str| digits.parse().ok().filter(|percent| (1..=100).contains(percent)).map(Memory::Percent);
    let read = match written.strip_suffix('%') {
        Some(digits) => percent(digits),
        None => Bytes::parse(written).filter(|bytes| bytes.0 > 0).map(|bytes| Memory::Bytes(bytes.0)),
    };
    if read.is_none() {
        let message =
            format!("`{}` is \"{}\", which is neither a share nor a size", section.path("memory"), value.shown);
        section.report(&place, Code::InvalidSize, message, "write \"75%\" (1% to 100%) or a size such as \"2GiB\"");
    }
    read
}

fn listen(section: &mut Section<'_>) -> Option<SocketAddr> {
    let Located { value, place } = section.text("listen", "127.0.0.1:9464")?;
    let address = value.value.parse().ok();
    if address.is_none() {
        let message =
            format!("`{}` is \"{}\", which is not an address with a port", section.path("listen"), value.shown);
        section.report(
            &place,
            Code::InvalidValue,
            message,
            "write IP:PORT, for instance \"127.0.0.1:9464\" or \"[::]:9464\"",
        );
    }
    address
}

fn number(section: &mut Section<'_>, key: &'static str, from: u64, to: u64, default: usize) -> usize {
    section.count(key, from..=to).and_then(|count| usize::try_from(count.value).ok()).unwrap_or(default)
}
