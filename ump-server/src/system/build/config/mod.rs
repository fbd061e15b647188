//! Attributes of components from a configuration file.

mod value;

use std::{collections::BTreeMap, fmt::Display, fs, num::NonZeroUsize, path::Path, time::Duration};

use serde::{Deserialize, Deserializer};

#[cfg(feature = "scheduling")]
use self::value::Priority;
use self::value::{Capacity, Humane, distinct};
use crate::system::report::{
    config_error::{self, ConfigError},
    error::listed,
};
use crate::system::{
    build::definition::Definition,
    model::attributes::Attributes,
    model::group::{Escalation, Group, Strategy},
};
use crate::{OnPanic, Restart};

/// Attributes of components and groups from a file in TOML or JSON.
///
/// A value in the file replaces the value that the program sets. A value that the file does not set
/// stays, and the names in `needs` are added. A component or group that the program does not have
/// is an error, and so is any key that is not one of these:
///
/// ```
/// use std::time::Duration;
/// use ump_server::{Stop, system::{Attributes, Config, System}, thread};
///
/// let config = Config::from_toml(r#"
///     grace = "250ms"               # as Builder::grace: milliseconds, or a text with a unit (us, ms, s, min, h, d)
///
///     [components.store]
///     instances = 2
///     workers = 1
///     capacity = 64                 # or "unbounded"
///     default_timeout = "5s"        # of its clients' requests
///     on_panic = "restart"          # "stop", "continue" or "restart"
///     restart = { limit = 5, window = "10s", first_pause = "10ms", longest_pause = "1s" }
///     watchdog = "200ms"            # reports handlers that keep control for longer
///     stack_size = 1048576          # bytes
///     ## budget = 128               # of a component of tasks
///     ## priority = 30               # 0 to 99; with the feature `scheduling`
///     ## affinity = [0, 1]             # with the feature `scheduling`
///     ## needs = ["log"]
///     ## request_timeout = "2s"      # of a task
///     ## on_timeout = "continue"     # or "fail"; of a task
///
///     [groups.all]
///     strategy = "one-for-all"      # "one-for-one", "rest-for-one" or "one-for-all"
///     escalation = "system"            # "group" or "system"
///     restart = { limit = 3 }
/// "#)?;
/// let system = System::builder()
///     .thread("store", Attributes::new(), |_| Ok(thread::reply(|n: u8| n)))
///     .group(ump_server::system::Group::new("all").members(["store"]))
///     .config(config)
///     .start(Duration::from_secs(5))
///     .wait()?;
/// assert_eq!(system.status()[0].instances.len(), 2);
/// assert!(system.stop(Stop::Drain, Duration::from_secs(5)).wait().is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `Config` implements `Deserialize`, so it can be a part of the program's own configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    grace: Option<Humane>,
    #[serde(default, deserialize_with = "distinct")]
    components: BTreeMap<String, ComponentConfig>,
    #[serde(default, deserialize_with = "distinct")]
    groups: BTreeMap<String, GroupConfig>,
    /// The file that the configuration was read from, for errors.
    #[serde(skip)]
    file: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentConfig {
    #[serde(default)]
    needs: Vec<String>,
    instances: Option<NonZeroUsize>,
    workers: Option<NonZeroUsize>,
    capacity: Option<Capacity>,
    default_timeout: Option<Humane>,
    budget: Option<u32>,
    on_panic: Option<PanicPolicy>,
    restart: Option<RestartConfig>,
    watchdog: Option<Humane>,
    stack_size: Option<usize>,
    #[cfg(feature = "scheduling")]
    priority: Option<Priority>,
    #[cfg(feature = "scheduling")]
    affinity: Option<Vec<usize>>,
    #[cfg(feature = "tokio")]
    request_timeout: Option<Humane>,
    #[cfg(feature = "tokio")]
    on_timeout: Option<crate::task::OnTimeout>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PanicPolicy {
    Stop,
    Continue,
    Restart,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartConfig {
    limit: Option<u32>,
    window: Option<Humane>,
    first_pause: Option<Humane>,
    longest_pause: Option<Humane>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupConfig {
    strategy: Option<Strategy>,
    escalation: Option<Escalation>,
    restart: Option<RestartConfig>,
}

impl Config {
    /// Reads a file whose name ends with `.toml` or `.json`.
    ///
    /// # Errors
    /// Returns a [`ConfigError`], which names the file and the key, if the name of the file ends
    /// otherwise, the file cannot be read, or its text is not a valid configuration.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let parse = match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Self::from_toml,
            Some("json") => Self::from_json,
            _ => {
                return Err(ConfigError::new(
                    "",
                    &"the name of the file must end with .toml or .json",
                )
                .in_file(path));
            }
        };
        let text =
            fs::read_to_string(path).map_err(|error| ConfigError::new("", &error).in_file(path))?;
        let mut config = parse(&text).map_err(|error| error.in_file(path))?;
        config.file = Some(path.display().to_string());
        Ok(config)
    }

    /// Parses a configuration in TOML.
    ///
    /// # Errors
    /// Returns a [`ConfigError`], which names the line and the key, if the text is not a valid
    /// configuration.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let of_text = |error: toml::de::Error| {
            (
                error.message().to_owned(),
                config_error::line(text, error.span()),
            )
        };
        let parsed = toml::Deserializer::parse(text).map_err(|error| {
            let (why, line) = of_text(error);
            ConfigError::new("", &why).at(line)
        })?;
        deserialize(parsed, of_text)
    }

    /// Parses a configuration in JSON.
    ///
    /// # Errors
    /// Returns a [`ConfigError`], which names the line and the key, if the text is not a valid
    /// configuration.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let mut parsed = serde_json::Deserializer::from_str(text);
        let of_text = |error: serde_json::Error| {
            let (why, line) = (error.to_string(), error.line());
            let position = format!(" at line {line} column {}", error.column());
            let why = why.strip_suffix(&position).unwrap_or(&why).to_owned();
            (why, Some(line))
        };
        let config = deserialize(&mut parsed, of_text)?;
        parsed.end().map_err(|error| {
            let (why, line) = of_text(error);
            ConfigError::new("", &why).at(line)
        })?;
        Ok(config)
    }

    /// Overlays the grace and the attributes of the program's components and groups.
    pub(in crate::system) fn apply(
        &self,
        grace: &mut Duration,
        definitions: &mut [Definition],
        groups: &mut [Group],
    ) -> Result<(), ConfigError> {
        if let Some(Humane(said)) = self.grace {
            *grace = said;
        }
        for (name, config) in &self.components {
            let path = format!("components.{name}");
            let known = definitions.iter().map(|known| known.name.to_string());
            let known: Vec<_> = known.collect();
            let Some(definition) = definitions.iter_mut().find(|known| *known.name == **name)
            else {
                return Err(self.unknown(&path, "component", &known));
            };
            config
                .apply(&mut definition.attributes)
                .map_err(|(key, why)| self.error(&format!("{path}.{key}"), &why))?;
        }
        for (name, config) in &self.groups {
            let known: Vec<_> = groups.iter().map(|it| it.name.clone()).collect();
            match groups.iter_mut().find(|known| known.name == *name) {
                Some(group) => config.apply(group),
                None => return Err(self.unknown(&format!("groups.{name}"), "group", &known)),
            }
        }
        Ok(())
    }

    fn unknown(&self, path: &str, kind: &str, known: &[String]) -> ConfigError {
        let known = listed(known);
        self.error(
            path,
            &format_args!("the program has no such {kind}; it has {known}"),
        )
    }

    fn error(&self, path: &str, why: &dyn Display) -> ConfigError {
        let error = ConfigError::new(path, why);
        match &self.file {
            Some(file) => error.in_file(Path::new(file)),
            None => error,
        }
    }
}

/// Deserializes a configuration. An error contains the path of the invalid key.
fn deserialize<'de, D: Deserializer<'de>>(
    parsed: D,
    of_text: impl Fn(D::Error) -> (String, Option<usize>),
) -> Result<Config, ConfigError> {
    serde_path_to_error::deserialize(parsed).map_err(|error| {
        let path = error.path().to_string();
        let (why, line) = of_text(error.into_inner());
        ConfigError::new(if path == "." { "" } else { &path }, &why).at(line)
    })
}

impl ComponentConfig {
    /// Overlays the attributes of a component. If the values contradict each other, returns the key
    /// that is wrong and the reason.
    fn apply(&self, attributes: &mut Attributes) -> Result<(), (&'static str, &'static str)> {
        let Self {
            needs,
            instances,
            workers,
            capacity,
            default_timeout,
            budget,
            on_panic,
            restart,
            watchdog,
            stack_size,
            #[cfg(feature = "scheduling")]
            priority,
            #[cfg(feature = "scheduling")]
            affinity,
            #[cfg(feature = "tokio")]
            request_timeout,
            #[cfg(feature = "tokio")]
            on_timeout,
        } = self;
        attributes.needs.extend(needs.iter().cloned());
        overlay(&mut attributes.instances, instances.map(NonZeroUsize::get));
        overlay(&mut attributes.workers, workers.map(NonZeroUsize::get));
        overlay(&mut attributes.capacity, capacity.map(|Capacity(it)| it));
        let default_timeout = default_timeout.map(|Humane(it)| it);
        overlay(&mut attributes.default_timeout, default_timeout);
        overlay(&mut attributes.watchdog, watchdog.map(|Humane(it)| it));
        overlay(&mut attributes.budget, *budget);
        overlay(&mut attributes.stack_size, *stack_size);
        #[cfg(feature = "scheduling")]
        {
            overlay(&mut attributes.priority, priority.map(|Priority(it)| it));
            overlay(&mut attributes.affinity, affinity.clone());
        }
        #[cfg(feature = "tokio")]
        {
            let timeout = request_timeout.map(|Humane(it)| it);
            overlay(&mut attributes.request_timeout, timeout);
            overlay(&mut attributes.on_timeout, *on_timeout);
        }
        let policy = match (on_panic, restart) {
            (Some(PanicPolicy::Stop | PanicPolicy::Continue), Some(_)) => {
                return Err(("restart", "it needs on_panic = \"restart\""));
            }
            (Some(PanicPolicy::Stop), None) => OnPanic::Stop,
            (Some(PanicPolicy::Continue), None) => OnPanic::Continue,
            (Some(PanicPolicy::Restart), None) => {
                OnPanic::Restart(RestartConfig::default().over(attributes.on_panic.as_ref()))
            }
            (_, Some(restart)) => OnPanic::Restart(restart.over(attributes.on_panic.as_ref())),
            (None, None) => return Ok(()),
        };
        attributes.on_panic = Some(policy);
        Ok(())
    }
}

impl RestartConfig {
    /// Returns these values, over those of `policy` if it is a restart, otherwise over the default.
    fn over(&self, policy: Option<&OnPanic>) -> Restart {
        let mut restart = match policy {
            Some(OnPanic::Restart(restart)) => restart.clone(),
            _ => Restart::new(),
        };
        self.apply(&mut restart);
        restart
    }

    fn apply(&self, restart: &mut Restart) {
        let duration = |humane: Option<Humane>, other| humane.map_or(other, |Humane(it)| it);
        restart.limit = self.limit.unwrap_or(restart.limit);
        restart.window = duration(self.window, restart.window);
        restart.first = duration(self.first_pause, restart.first);
        restart.longest = duration(self.longest_pause, restart.longest);
    }
}

impl GroupConfig {
    fn apply(&self, group: &mut Group) {
        group.strategy = self.strategy.unwrap_or(group.strategy);
        group.escalation = self.escalation.unwrap_or(group.escalation);
        if let Some(restart) = &self.restart {
            restart.apply(&mut group.restart);
        }
    }
}

/// Replaces `was` by `said`, if `said` is set.
fn overlay<T>(was: &mut Option<T>, said: Option<T>) {
    if said.is_some() {
        *was = said;
    }
}
