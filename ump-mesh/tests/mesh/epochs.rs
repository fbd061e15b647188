//! A request is for one claim, and its epoch says which.

use std::time::Duration;

use ump_mesh::zenoh::{self, Wait, sample::SampleKind};

use crate::support::{Double, LONG, Member, config, domain, eventually, plain_session};

/// The request of a participant with the number 7, as in `envelope.rs`.
fn request(number: u64, epoch: u64, topic: &str) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(7_u128.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.extend(epoch.to_le_bytes());
    bytes.push(0); // CBOR
    bytes.extend(u64::MAX.to_le_bytes()); // no deadline
    bytes.extend(topic.bytes());
    bytes
}

#[test]
fn a_request_for_a_stale_epoch_is_not_executed() {
    let domain = domain();
    let member = Member::join(config(&domain));
    let session = plain_session(&domain);
    let told = session.declare_subscriber(format!("@ump/1/i/{:032x}", 7));
    let told = told.wait().unwrap();
    let claims = session.liveliness().declare_subscriber("@ump/1/w/*/*/**");
    let claims = claims.history(true).wait().unwrap();
    let inbox = format!("@ump/1/i/{}", member.mesh.id());
    let publisher = session.declare_publisher(inbox).wait().unwrap();
    eventually("it matches", || {
        publisher.matching_status().wait().unwrap().matching()
    });
    let mut next_number = 0;
    // Returns what it is told of the request: the reply, or why and whether it was executed.
    let mut ask = |epoch: u64| {
        next_number += 1;
        let bytes = request(next_number, epoch, "double/a");
        publisher.put([4]).attachment(bytes).wait().unwrap();
        loop {
            let sample: zenoh::sample::Sample = told.recv_timeout(LONG).unwrap().unwrap();
            let attachment = sample.attachment().unwrap().to_bytes();
            let number = u64::from_le_bytes(attachment[17..25].try_into().unwrap());
            match attachment[0] {
                3 => {} // it was taken
                4 if number == next_number => break Ok(sample.payload().to_bytes().to_vec()),
                6 if number == next_number => break Err(attachment[26]),
                other => panic!("{other} for {number}"),
            }
        }
    };
    let next_claim = |kind| loop {
        let sample = claims.recv_timeout(LONG).unwrap().expect("a claim");
        if sample.kind() == kind {
            break sample.key_expr().as_str().to_owned();
        }
    };
    // The first term, with its renewals.
    for epoch in 65_536..65_539 {
        let serving = {
            let server = member.router.serve::<Double>("a").unwrap();
            std::thread::spawn(move || {
                let mut served = 0;
                // Until nobody has asked for a while: it serves again in the next round.
                while let Ok(Some((call, rctx))) = server.wait_timeout(Duration::from_secs(2)) {
                    served += 1;
                    let _ = rctx.reply(2 * call.message.0);
                }
                served
            })
        };
        let claim = next_claim(SampleKind::Put);
        assert!(claim.ends_with(&format!("/{epoch}/=double/=a")), "{claim}");
        assert_eq!(ask(epoch), Ok(vec![8]));
        assert_eq!(ask(epoch - 1), Err(0), "not executed");
        assert_eq!(ask(epoch + 1), Err(0), "not executed");
        assert_eq!(serving.join().unwrap(), 1);
        // A server that follows in the same process at once has the same claim.
        assert_eq!(next_claim(SampleKind::Delete), claim);
    }
}
