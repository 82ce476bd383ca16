//! `callgate dev`: everything on this machine, with the embedded broker and no configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use anyhow::Context;
use callgate_core::dead_letter::dead_letter_topic;
use callgate_core::route::TopicSelector;
use clap::{Args, CommandFactory};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::WRONG_CONFIGURATION;
use super::compile_component::compiler;
use super::input::{cache_dir, handler_name, operation};
use super::signals::{Asked, Signals};
use crate::broker::EmbeddedBroker;
use crate::config::{HandlerRoute, Operator, OperatorRead};
use crate::deploy;
use crate::pipeline::{Brokers, Handler, Host, Listener, News, Overview, Reconciler, code_cache, host_settings};

mod folder;
mod lines;

use folder::Folder;
use lines::Lines;

/// Runs handlers on this machine, with a broker in this process: no configuration, nothing to install.
///
/// Prints the broker's address, then one line for each record and where it went. A record may name any reply topic. When a
/// component changes, its new version is taken. The broker forgets everything when the process ends.
///
/// Try it: run `callgate dev handler.wasm --topic orders` in one terminal, and in another one the line that it prints,
/// `callgate call orders --bootstrap ADDRESS --data TEXT`.
#[derive(Args, Debug)]
pub(super) struct Dev {
    /// A component, or a deploy directory with `<tenant>/<handler>.wasm` and `<tenant>/<handler>.toml`.
    #[arg(value_name = "COMPONENT or DIRECTORY")]
    handlers: Option<PathBuf>,
    /// The topic that the component consumes; by default the name of its file.
    #[arg(long)]
    topic: Option<String>,
    /// What a record becomes, for instance `POST /orders/{id}`: `{id}` is the record header of that name.
    #[arg(long, value_name = "METHOD PATH", default_value = "POST /", value_parser = operation)]
    operation: String,
}

impl Dev {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(handlers) = &self.handlers else {
            let mut dev = super::Arguments::command();
            dev.build();
            if let Some(dev) = dev.find_subcommand_mut("dev") {
                dev.print_long_help()?;
            }
            return Ok(ExitCode::SUCCESS);
        };
        let folder = match self.deploy(handlers) {
            Ok(folder) => folder,
            Err(error) => {
                tell!("error: {error:#}");
                return Ok(ExitCode::from(WRONG_CONFIGURATION));
            }
        };
        let broker = EmbeddedBroker::start().map_err(anyhow::Error::msg)?;
        let operator = operator(&broker, folder.path())?;
        let compiler = Arc::new(compiler(&code_cache(&operator))?);
        let lines = Arc::new(Lines::default());
        let host = Host::start(host_settings(&operator), lines.clone())?;
        let overview = Arc::new(Overview::default());
        let (wanted, topics) = unbounded_channel();
        let listener = listener(wanted, broker.bootstrap_servers(), lines.clone());
        let reconciler = Reconciler::start(operator, compiler, Brokers::Embedded, host, overview.clone(), listener);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let status = runtime.block_on(serve(reconciler, &broker, topics, &overview, folder, &lines))?;
        runtime.shutdown_background();
        Ok(status)
    }

    /// The deploy directory: the one that was named, or one made for the component that was.
    fn deploy(&self, handlers: &Path) -> anyhow::Result<Folder> {
        if handlers.is_dir() {
            anyhow::ensure!(
                self.topic.is_none(),
                "--topic is for one component; in a deploy directory the manifests name the topics"
            );
            return Ok(Folder::Given(handlers.to_owned()));
        }
        let name = handler_name(handlers);
        let topic = toml::Value::from(self.topic.as_deref().unwrap_or(&name));
        let operation = toml::Value::from(self.operation.as_str());
        let manifest = format!("[[routes]]\ntopic = {topic}\noperation = {operation}\n");
        Folder::stage(handlers, &name, &manifest)
            .with_context(|| format!("the component {} cannot be read", handlers.display()))
    }
}

/// What an operator would have written.
fn operator(broker: &EmbeddedBroker, directory: &Path) -> anyhow::Result<Operator> {
    let path = |path: &Path| toml::Value::from(path.to_string_lossy().as_ref());
    let text = format!(
        "[kafka]\nbootstrap_servers = \"{}\"\n[deploy]\ndirectory = {}\ncache = {}\n\
         [tenants.default]\ntopics = [\"*\"]\nreply_topics = [\"*\"]\ncreate_dead_letter_topic = false\n",
        broker.bootstrap_servers(),
        path(&std::path::absolute(directory)?),
        path(&cache_dir()),
    );
    let OperatorRead { operator, faults } = Operator::from_text(text);
    match (operator, &*faults) {
        (Some(operator), []) => Ok(operator),
        (_, faults) => anyhow::bail!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// A handler whose topics are to be made, and who waits for them.
type Wanted = (Arc<Handler>, mpsc::Sender<()>);

/// Has the topics of what runs made before it does, and tells.
fn listener(wanted: UnboundedSender<Wanted>, bootstrap: String, lines: Arc<Lines>) -> Listener {
    Box::new(move |news| match news {
        News::Runs(handler) => {
            let (made, wait) = mpsc::channel();
            // Nobody makes topics any more while the host stops.
            if wanted.send(((*handler).clone(), made)).is_ok() {
                let _ = wait.recv();
            }
            lines.runs(&bootstrap, handler);
        }
        News::Gone(name) => lines.say(&format!("{name} is gone")),
        // The log has said why.
        News::Refused(..) => {}
    })
}

/// Source topics and their dead-letter topics, of one partition each, so that a person can read the offsets.
fn create_topics(broker: &EmbeddedBroker, handler: &Handler) -> Result<(), String> {
    for HandlerRoute { topics: selector, .. } in &handler.routes {
        if let TopicSelector::Topic(topic) = selector {
            broker.create_topic(topic, 1)?;
            broker.create_topic(&dead_letter_topic(topic, &handler.tenant.dead_letter), 1)?;
        }
    }
    Ok(())
}

/// Runs until a signal comes, then drains. Where there is nothing to run at first, there is nothing to wait for.
async fn serve(
    reconciler: Reconciler,
    broker: &EmbeddedBroker,
    mut topics: UnboundedReceiver<Wanted>,
    overview: &Overview,
    mut folder: Folder,
    lines: &Lines,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let mut look = tokio::time::interval(deploy::LOOK);
    let mut decided = false;
    let status = loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => break ExitCode::SUCCESS,
                // There is no file to read again; it confirms handlers that have gone at once.
                Asked::Reload => reconciler.reload(operator(broker, folder.path())?),
            },
            Some((handler, made)) = topics.recv() => {
                create_topics(broker, &handler).map_err(anyhow::Error::msg)?;
                // The listener waits.
                let _ = made.send(());
                continue;
            }
            _ = look.tick() => {}
        }
        if !decided && overview.is_decided() {
            decided = true;
            if overview.handlers().iter().all(|handler| handler.running.is_none()) {
                tell!("error: there is no handler to run in {}", folder.source().display());
                break ExitCode::from(WRONG_CONFIGURATION);
            }
            lines.welcome(&broker.bootstrap_servers());
        }
        // A component that is gone goes on as it was: that is for the person to mend.
        let _ = folder.refresh();
    };
    signals.drain(reconciler).await;
    Ok(status)
}
