//! Plain zenoh programs that take part by the keys of `KEYS.md`.

use ump_mesh::zenoh::{self, Wait, bytes::Encoding};

use crate::support::{
    LONG, Member, Price, await_subscriber, config, domain, eventually, next, plain_session,
    publish, serve,
};

/// The CBOR of a small number, as a newtype has it.
fn cbor(number: u8) -> Vec<u8> {
    assert!(number < 24);
    vec![number]
}

#[test]
fn a_plain_program_publishes_and_subscribes() {
    let domain = domain();
    let member = Member::join(config(&domain));
    // It matches two subscriptions, and comes once to each.
    let mut prices = member.router.subscribe::<Price>("eth/*").unwrap();
    let mut all = member.router.subscribe::<Price>("**").unwrap();
    let session = plain_session(&domain);
    let publisher = session.declare_publisher("price/eth/eur").wait().unwrap();
    eventually("it matches", || {
        publisher.matching_status().wait().unwrap().matching()
    });
    let encoded = publisher.put(cbor(3)).encoding(Encoding::APPLICATION_CBOR);
    encoded.wait().unwrap();
    publisher.put(cbor(4)).wait().unwrap();
    for subscription in [&mut prices, &mut all] {
        assert_eq!([next(subscription), next(subscription)], [Ok(3), Ok(4)]);
        assert!(subscription.is_empty());
    }

    let subscriber = session.declare_subscriber("price/**").wait().unwrap();
    // A plain subscriber has no token, so nobody at the router knows of it: see `KEYS.md`.
    let token = format!("@ump/1/s/{}/1/=price/=%2a%2a", session.zid());
    let _token = session.liveliness().declare_token(token).wait().unwrap();
    drop((prices, all));
    await_subscriber(&member.router, "btc");
    publish(&member.router, "btc", 5);
    let sample = subscriber.recv_timeout(LONG).unwrap().unwrap();
    assert_eq!(sample.key_expr().as_str(), "price/btc");
    assert_eq!(*sample.payload().to_bytes(), cbor(5));
    assert_eq!(*sample.encoding(), Encoding::APPLICATION_CBOR);
}

#[test]
fn a_plain_program_queries_a_server() {
    let domain = domain();
    let member = Member::join(config(&domain));
    let serving = serve(&member.router, "a");
    let session = plain_session(&domain);
    let ask = |key: &str, number| {
        let replies = session.get(key).payload(cbor(number)).wait().unwrap();
        let mut replies = replies.into_iter();
        let first = replies.next();
        assert!(replies.next().is_none());
        first.map(zenoh::query::Reply::into_result)
    };
    let mut reply = None;
    eventually("it is found", || {
        reply = ask("double/a", 4);
        reply.is_some()
    });
    let sample = reply.unwrap().unwrap();
    assert_eq!(*sample.payload().to_bytes(), cbor(8));
    assert_eq!(*sample.encoding(), Encoding::APPLICATION_CBOR);
    let refused = ask("double/a", 0).unwrap().unwrap_err();
    assert_eq!(&refused.payload().to_bytes()[1..], b"zero");
    let malformed = session.get("double/a").payload("?").wait().unwrap();
    let malformed = malformed.recv().unwrap().into_result().unwrap_err();
    let text = malformed.payload().try_to_string().unwrap().into_owned();
    assert!(text.contains("could not be encoded or decoded"), "{text}");
    assert!(ask("double/b", 1).is_none());
    member.router.close();
    assert_eq!(serving.join().unwrap(), 2);
}

#[test]
fn garbage_at_our_keys_harms_nobody() {
    let domain = domain();
    let member = Member::join(config(&domain));
    let mut prices = member.router.subscribe::<Price>("a").unwrap();
    let session = plain_session(&domain);
    let publisher = session.declare_publisher("price/a").wait().unwrap();
    eventually("it matches", || {
        publisher.matching_status().wait().unwrap().matching()
    });
    let inbox = format!("@ump/1/i/{}", member.mesh.id());
    for length in 0..80_usize {
        for kind in [1, 3, 4, 6, 7, 8, 9, 255_u8] {
            let mut bytes = vec![0xff; length];
            bytes.iter_mut().take(1).for_each(|first| *first = kind);
            session.put(&inbox, "x").attachment(&*bytes).wait().unwrap();
            session.put("@ump/1/b/7", &*bytes).wait().unwrap();
        }
    }
    let tokens = ["p", "s/1", "c/zz/1/=a", "c/1/1/=%2a", "x/1/2/=a", "l/1/0/="];
    let tokens = tokens.map(|token| {
        let token = session
            .liveliness()
            .declare_token(format!("@ump/1/{token}"));
        token.wait().unwrap()
    });
    publisher
        .put(cbor(1))
        .attachment(&[1; 7][..])
        .wait()
        .unwrap();
    assert_eq!(next(&mut prices), Ok(1), "with a foreign attachment");
    drop(tokens);
    publisher.put(cbor(2)).wait().unwrap();
    assert_eq!(next(&mut prices), Ok(2));
    assert!(member.mesh.participants().is_empty());
}
