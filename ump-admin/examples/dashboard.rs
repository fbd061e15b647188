//! A program to look at: components under load, one that panics now and then, one that is slow, a
//! full queue, a slow subscriber, a link, and a log.
//!
//! ```sh
//! cargo run --release -p ump-admin --features log --example dashboard                  # then open http://127.0.0.1:7070
//! cargo run --release -p ump-admin --features log --example dashboard -- 127.0.0.1:7070 1000
//! ```

use std::{convert::Infallible, env, error::Error, ops::ControlFlow, thread, time::Duration};

use serde_json::json;
use ump_admin::{
    Admin,
    log::{Builder as Log, Format},
};
use ump_router::{Message, Router, SubscribeOptions, WhenFull};
use ump_server::{
    OnPanic, ReplyContext, Restart,
    system::{Attributes, Builder, System},
};

struct Price(#[expect(dead_code, reason = "nobody reads it")] u64);

impl Message for Price {
    const PREFIX: &str = "price";
}

/// How a component treats its requests.
#[derive(Clone, Copy)]
struct Behaviour {
    service: Duration,
    /// Every so many requests it panics.
    panics: Option<u64>,
}

const QUICK: Behaviour = Behaviour {
    service: Duration::from_micros(300),
    panics: None,
};

type Reply<'a> = ReplyContext<'a, u64, Infallible>;

fn component(builder: Builder, name: &str, needs: &[&str], behaviour: Behaviour) -> Builder {
    let attributes = needs
        .iter()
        .fold(Attributes::new().capacity(64), |it, needs| it.needs(*needs));
    let restart = Restart::new().limit(1_000_000, Duration::from_secs(1));
    let attributes = attributes
        .watchdog(Duration::from_secs(1))
        .on_panic(OnPanic::Restart(restart));
    builder.thread(name, attributes, move |_| {
        Ok(move |n: u64, rctx: Reply<'_>| {
            thread::sleep(behaviour.service);
            let panics = behaviour.panics.is_some_and(|every| n % every == every - 1);
            tracing::debug!(target: "shop::handler", request = n, "served");
            if panics {
                tracing::error!(target: "shop::handler", request = n, "no route to the exchange");
            }
            assert!(!panics, "no route to exchange {n}");
            let _ = rctx.reply(n);
            ControlFlow::<()>::Continue(())
        })
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut arguments = env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:7070".to_owned());
    let more: usize = arguments.next().map_or(Ok(0), |text| text.parse())?;

    let slow = Behaviour {
        service: Duration::from_millis(20),
        ..QUICK
    };
    let stuck = Behaviour {
        service: Duration::from_secs(3600),
        ..QUICK
    };
    let failing = Behaviour {
        panics: Some(100),
        ..QUICK
    };
    let mut builder = System::builder();
    builder = component(builder, "store", &[], QUICK);
    builder = component(builder, "prices", &["store"], failing);
    builder = component(builder, "orders", &["store", "prices"], QUICK);
    builder = component(builder, "reports", &["store"], slow);
    builder = component(builder, "printer", &[], stuck);
    for number in 0..more {
        builder = component(builder, &format!("session-{number:04}"), &[], QUICK);
    }
    let system = builder.start(Duration::from_secs(60)).wait()?;

    let (hub, leaf) = (Router::new(), Router::new());
    let listener = hub.listen("tcp:127.0.0.1:0")?;
    let _link = leaf.connect(listener.address())?;
    let _lost = leaf.connect("tcp:127.0.0.1:9")?;
    let options = SubscribeOptions::new()
        .capacity(16)
        .when_full(WhenFull::DropOldest);
    let _slow = leaf.subscribe_with::<Price>("**", options)?;
    let mut quick = leaf.subscribe::<Price>("eth/*")?;

    let log = Log::new()
        .filter("debug,tokio=info,hyper=info")
        .tail(10_000, Format::Text)
        .init()?;

    let _admin = Admin::new()
        .log(&log)
        .system(&system)
        .router(&leaf)
        .info("version", env!("CARGO_PKG_VERSION"))
        .section("participants", || json!(["this one"]))
        .token("a-token-for-the-demo")
        .listen(&address)?;
    println!("http://{address}, token: a-token-for-the-demo");

    for (name, pause) in [
        ("store", 2),
        ("prices", 5),
        ("orders", 3),
        ("reports", 5),
        ("printer", 2000),
    ] {
        let client = system.client::<u64, u64, Infallible>(name)?;
        thread::spawn(move || {
            for n in 0.. {
                // Busy and quiet times in turn.
                let pause = if n / 300 % 3 == 2 { pause * 4 } else { pause };
                thread::sleep(Duration::from_millis(pause));
                // Refused if the queue is full.
                let _ = client.post(n).if_room().wait();
            }
        });
    }
    for n in 0.. {
        thread::sleep(Duration::from_millis(10));
        if n % 50 == 0 {
            tracing::info!(target: "shop::prices", published = n, "prices are up to date");
        }
        if n % 400 == 399 {
            tracing::warn!(target: "shop::prices", market = "btc/eur", "the market is closed");
        }
        leaf.publish(["eth/eur", "eth/usd", "btc/eur"][n % 3], Price(n as u64))
            .retain()
            .wait()?;
        while quick.try_recv().is_ok_and(|price| price.is_some()) {}
    }
    Ok(())
}
