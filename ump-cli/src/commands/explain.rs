//! `ump explain`: how the topics of two patterns relate.

use serde_json::json;
use ump_router::{Pattern, topic::Relation};

use crate::{exit::Error, output::print};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A pattern or a topic
    #[arg(value_name = "PATTERN")]
    one: Pattern,
    /// Another one
    #[arg(value_name = "PATTERN")]
    other: Pattern,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let explanation = options.one.explain(&options.other);
    if !is_json {
        return print(&explanation.to_string());
    }
    let relation = match explanation.relation() {
        Relation::Equal => "equal",
        Relation::Includes => "includes",
        Relation::IncludedIn => "included_in",
        Relation::Overlaps => "overlaps",
        Relation::Disjoint => "disjoint",
    };
    let topic = explanation.common_topic().map(ump_router::Topic::as_str);
    let text = explanation.to_string();
    print(&json!({"relation": relation, "common_topic": topic, "text": text}).to_string())
}
