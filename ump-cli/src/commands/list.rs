//! `ump ls`: what the server tells.

use serde_json::json;

use crate::{
    args::ServerArgs,
    client::Link,
    exit::Error,
    output::{note, write},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A server tells its own subscriptions and served topics, and those of its other links.

`ump ls --mesh` lists the participants of a mesh: it is `ump mesh ls`, and has its options.

With --json: {\"subscription\":PATTERN} and {\"served\":TOPIC}, one a line.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let link: Link<()> = options.server.open()?;
    let known = &link.known;
    let mut patterns: Vec<_> = known.subscriptions.values().collect();
    patterns.sort_unstable();
    let mut topics: Vec<_> = known.claims.values().collect();
    topics.sort_unstable_by_key(|topic| topic.as_str());
    let patterns = patterns.iter().map(|it| ("subscription", it.as_str()));
    let topics = topics.iter().map(|it| ("served", it.as_str()));
    let mut text = String::new();
    for (kind, name) in patterns.chain(topics) {
        let line = if is_json {
            json!({kind: name}).to_string()
        } else {
            format!("{kind:<12} {name}")
        };
        text += &line;
        text.push('\n');
    }
    write(text.as_bytes())?;
    if text.is_empty() && !is_json {
        note("the server tells no subscription and no served topic");
    }
    link.leave();
    Ok(())
}
