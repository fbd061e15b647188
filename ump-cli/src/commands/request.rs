//! `ump req`: makes a request.

use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json};
use ump_router::{
    Topic,
    link::session::{Call, Event, Outcome, Progress},
};

use crate::{
    args::{ServerArgs, duration},
    client::{Link, Step, failure_exit, refusal_text},
    exit::{Error, Exit},
    output::print,
    payload::{self, Payload, PayloadArgs},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The reply is written to the standard output. With --json, so is any other outcome:
{\"outcome\":\"reply\"|\"refused\"|\"failed\", \"executed\":\"no\"|\"perhaps\"|\"yes\", ..}.

Exit codes: 0 a reply; 1 the handler refused; 2 the payload is not valid; 3 nobody serves the topic;
4 the server or the link is lost; 5 time-out; 6 the server cannot be reached or does not allow it.")]
pub(crate) struct Options {
    #[command(flatten)]
    server: ServerArgs,
    /// The whole topic
    #[arg(value_name = "TOPIC")]
    topic: Topic,
    #[command(flatten)]
    payload: PayloadArgs,
    /// How long the reply may take
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    timeout: Duration,
}

pub(crate) fn run(options: &Options, is_json: bool) -> Result<(), Error> {
    let payload = options.payload.payload()?;
    let payload = payload.unwrap_or_else(|| Payload::text("", options.payload.codec));
    let mut link: Link<()> = options.server.open()?;
    let outcome = request(&mut link, &options.topic, payload, options.timeout)?;
    show(&outcome, is_json)?;
    link.leave();
    Ok(())
}

/// Makes a request and waits for its outcome.
pub(crate) fn request<I>(
    link: &mut Link<I>,
    topic: &Topic,
    payload: Payload,
    timeout: Duration,
) -> Result<Outcome, Error> {
    let now = Instant::now();
    let call = Call {
        topic: topic.clone(),
        deadline: Some(now + timeout),
        codec: payload.codec,
        payload: payload.bytes,
    };
    let made = link.session.request(now, &call)?;
    loop {
        match link.next(None)? {
            Step::Event(Event::Ended { request, outcome }) if request == made => {
                return Ok(outcome);
            }
            Step::Event(_) | Step::Told | Step::Input(_) | Step::Deadline => {}
        }
    }
}

fn show(outcome: &Outcome, is_json: bool) -> Result<(), Error> {
    let ended = match outcome {
        Outcome::Reply { .. } => Ok(()),
        Outcome::Refused { codec, payload } => {
            let text = payload::printable(&payload::line(*codec, payload));
            Err(Error::new(Exit::Refused, format!("refused: {text}")))
        }
        Outcome::Failed { failure, text, .. } => {
            let text = refusal_text(*failure, text);
            Err(Error::new(failure_exit(*failure), text))
        }
        Outcome::TimedOut(progress) => {
            let text = match progress {
                Progress::Taken => "time-out: the server has taken the request and not answered",
                Progress::Sent | Progress::NotSent => "time-out: the server has not taken it",
            };
            Err(Error::new(Exit::TimedOut, text))
        }
        Outcome::LinkLost(_) => Err(Error::new(Exit::Lost, "the link was lost")),
        _ => Err(Error::new(Exit::Lost, "the request was cancelled")),
    };
    if is_json {
        print(&Json::Object(object(outcome, ended.as_ref().err())).to_string())?;
        return ended.map_err(|error| Error::silent(error.exit));
    }
    ended?;
    let (Outcome::Reply { codec, payload } | Outcome::Refused { codec, payload }) = outcome else {
        return Ok(());
    };
    print(&payload::printable(&payload::line(*codec, payload)))
}

fn object(outcome: &Outcome, error: Option<&Error>) -> Map<String, Json> {
    let mut object = Map::new();
    let name = match outcome {
        Outcome::Reply { .. } => "reply",
        Outcome::Refused { .. } => "refused",
        _ => "failed",
    };
    object.insert("outcome".to_owned(), Json::from(name));
    let executed = outcome.executed().to_string();
    object.insert("executed".to_owned(), Json::from(executed));
    match outcome {
        Outcome::Reply { codec, payload } | Outcome::Refused { codec, payload } => {
            payload::fields(&mut object, *codec, payload);
        }
        _ => {
            let text = error.map(|error| error.text.as_str());
            object.insert("error".to_owned(), Json::from(text));
        }
    }
    let exit = error.map_or(0, |error| error.exit as u8);
    object.insert("exit".to_owned(), Json::from(exit));
    object
}
