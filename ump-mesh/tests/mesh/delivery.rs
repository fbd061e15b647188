//! Messages between participants.

use ump_mesh::ump_router::{RecvError, SubscribeOptions};

use crate::support::{LONG, Price, await_subscriber, domain, eventually, members, next, publish};

#[test]
fn messages_reach_all_who_subscribe() {
    let [one, two, three] = members(&domain());
    let mut second = two.router.subscribe::<Price>("eth/*").unwrap();
    // Two subscribers of zenoh for one message: it comes once.
    let mut third = three.router.subscribe::<Price>(["eth/*", "*/eur"]).unwrap();
    let mut own = one.router.subscribe::<Price>("**").unwrap();
    for member in [&two, &three] {
        assert!(member.mesh.settled(LONG).wait());
    }
    let published = one.router.publish("eth/eur", Price(1)).wait().unwrap();
    assert_eq!(
        (published.matched, published.queued),
        (2, 2),
        "its own, and the mesh"
    );
    publish(&one.router, "eth/usd", 2);
    publish(&one.router, "btc/eur", 3);
    assert_eq!([next(&mut second), next(&mut second)], [Ok(1), Ok(2)]);
    let got = [next(&mut third), next(&mut third), next(&mut third)];
    assert_eq!(got, [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(
        [next(&mut own), next(&mut own), next(&mut own)],
        [Ok(1), Ok(2), Ok(3)]
    );
    assert!(second.is_empty() && third.is_empty() && own.is_empty());
}

#[test]
fn nobody_who_listens_is_known_at_once() {
    let [one, two] = members(&domain());
    assert_eq!(one.router.publish("a", Price(1)).wait().unwrap().matched, 0);
    let prices = two.router.subscribe::<Price>("a").unwrap();
    await_subscriber(&one.router, "a");
    drop(prices);
    eventually("nobody listens", || {
        !one.router.has_subscribers::<Price>("a").unwrap()
    });
}

#[test]
fn a_topic_may_begin_with_any_sign() {
    let [one, two] = members(&domain());
    let mut prices = two.router.subscribe::<Price>("**").unwrap();
    await_subscriber(&one.router, "@a/%b");
    for (number, topic) in ["@a/%b", "%40", "", "ä@"].into_iter().enumerate() {
        publish(&one.router, topic, number as u64);
        let price = prices.recv().wait_timeout(LONG).unwrap().unwrap();
        assert_eq!((price.topic().as_str(), price.0), (topic, number as u64));
    }
}

#[test]
fn received_and_missed_are_what_was_sent() {
    const SENT: u64 = 100_000;
    let [one, two, three] = members(&domain());
    let options = SubscribeOptions::new().capacity(100);
    let mut slow = two.router.subscribe_with::<Price>("a", options).unwrap();
    let options = SubscribeOptions::new().capacity(1 << 20);
    let mut wide = three.router.subscribe_with::<Price>("*", options).unwrap();
    for member in [&two, &three] {
        assert!(member.mesh.settled(LONG).wait());
    }
    await_subscriber(&one.router, "a");
    let publisher = std::thread::spawn(move || {
        for number in 0..SENT {
            publish(&one.router, "a", number);
        }
        one
    });
    for subscription in [&mut slow, &mut wide] {
        let (mut received, mut missed, mut last) = (0, 0, None);
        while received + missed < SENT {
            let next = subscription.recv().wait_timeout(LONG);
            let next = next.map(|price| {
                let so_far = format!("received {received}, missed {missed}, last {last:?}");
                price.expect(&so_far).0
            });
            match next {
                Ok(number) => {
                    assert!(last < Some(number), "{number} after {last:?}");
                    last = Some(number);
                    received += 1;
                }
                Err(RecvError::Missed(count)) => missed += count,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(received + missed, SENT);
        println!("received {received}, missed {missed}");
    }
    drop(publisher.join().unwrap());
}

#[test]
fn what_was_published_before_leaving_arrives_and_nothing_is_interrupted() {
    let [one, two] = members(&domain());
    let mut prices = two.router.subscribe::<Price>("a").unwrap();
    await_subscriber(&one.router, "a");
    for number in 0..100 {
        publish(&one.router, "a", number);
    }
    one.mesh.leave();
    for number in 0..100 {
        assert_eq!(next(&mut prices), Ok(number));
    }
    eventually("it has left", || two.mesh.participants().is_empty());
    assert!(prices.is_empty());
}

#[test]
fn a_large_message_arrives() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Picture(Vec<u8>);
    impl ump_mesh::ump_router::Message for Picture {
        const PREFIX: &str = "picture";
    }
    let [one, two] = members(&domain());
    one.router.carry::<Picture>().unwrap();
    two.router.carry::<Picture>().unwrap();
    let mut pictures = two.router.subscribe::<Picture>("a").unwrap();
    let mut watch = one.router.watch_subscribers::<Picture>("a").unwrap();
    assert_eq!(watch.changed().wait_timeout(LONG).unwrap(), Some(true));
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    one.router
        .publish("a", Picture(bytes.clone()))
        .wait()
        .unwrap();
    let picture = pictures.recv().wait_timeout(LONG).unwrap().unwrap();
    assert!(picture.0 == bytes);
}
