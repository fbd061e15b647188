//! Errors in programs: boxes, `?` and conversions.

use super::*;

#[test]
fn errors_go_into_boxes() {
    fn plain(client: &Client<u32, (), Broken>) -> Result<(), Box<dyn StdError>> {
        client.req(1)?;
        Ok(())
    }
    fn request(client: &Client<u32, (), Broken>) -> Result<(), Box<dyn StdError + Send + Sync>> {
        client.request(1).wait()?;
        Ok(())
    }
    async fn awaited(
        client: &Client<u32, (), Broken>,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        client.request(1).submit().await?.await?;
        Ok(())
    }
    fn post(client: &Client<u32, (), Broken>) -> Result<(), Box<dyn StdError + Send + Sync>> {
        client.post(1).wait()?;
        Ok(())
    }
    fn bounded() -> Result<(), Box<dyn StdError>> {
        let (_server, _client) = ump::bounded::<(), (), ()>(0)?;
        Ok(())
    }
    let (server, client) = ump::channel();
    drop(server);
    assert!(plain(&client).unwrap_err().is::<Error<Broken>>());
    assert!(
        request(&client)
            .unwrap_err()
            .is::<RequestError<u32, Broken>>()
    );
    assert!(
        block_on(awaited(&client))
            .unwrap_err()
            .is::<SendError<u32>>()
    );
    assert!(post(&client).unwrap_err().is::<SendError<u32>>());
    assert!(bounded().unwrap_err().is::<ZeroCapacity>());
}

#[test]
fn errors_without_a_reason_can_be_made_printable() {
    fn plain(client: &Client<u32, (), ()>) -> Result<(), Error<Refused>> {
        client.req(1)?;
        Ok(())
    }
    fn request(client: &Client<u32, (), ()>) -> Result<(), RequestError<u32, Refused>> {
        client.request(1).wait()?;
        Ok(())
    }
    fn boxed(client: &Client<u32, (), ()>) -> Result<(), Box<dyn StdError>> {
        client.req(1).map_err(Error::<Refused>::from)?;
        client
            .request(2)
            .wait()
            .map_err(RequestError::<_, Refused>::from)?;
        Ok(())
    }
    let (server, client) = ump::channel::<u32, (), ()>();
    thread::scope(|scope| {
        let server = server;
        let refuse = scope.spawn(move || {
            for (n, rctx) in &server {
                if n == 1 {
                    rctx.fail(()).unwrap();
                }
            }
        });
        assert_eq!(plain(&client), Err(Error::App(Refused)));
        assert!(matches!(request(&client), Err(RequestError::App(Refused))));
        assert!(
            boxed(&client)
                .unwrap_err()
                .to_string()
                .contains(&Refused.to_string())
        );
        drop(client);
        refuse.join().unwrap();
    });
}

#[test]
fn the_conversion_changes_only_the_apps_error() {
    type Unit = RequestError<u8, ()>;
    let from = |error: Error<()>| Error::<Refused>::from(error);
    assert_eq!(from(Error::ServerDisappeared), Error::ServerDisappeared);
    assert_eq!(from(Error::OriginDisappeared), Error::OriginDisappeared);
    assert_eq!(from(Error::ClientsDisappeared), Error::ClientsDisappeared);
    assert_eq!(from(Error::NoReply), Error::NoReply);
    assert_eq!(from(Error::App(())), Error::App(Refused));

    let from = |error: Unit| RequestError::<u8, Refused>::from(error);
    assert!(matches!(from(Unit::App(())), RequestError::App(Refused)));
    for why in [NoReply::Dropped, NoReply::Panicked(PanicMessage::default())] {
        assert!(
            matches!(from(Unit::NoReply(why.clone())), RequestError::NoReply(same) if same == why)
        );
    }
    assert!(matches!(
        from(Unit::ServerDisappeared(1)),
        RequestError::ServerDisappeared(1)
    ));
    assert!(matches!(
        from(Unit::TimeoutQueued(2)),
        RequestError::TimeoutQueued(2)
    ));
    assert!(matches!(
        from(Unit::TimeoutTaken),
        RequestError::TimeoutTaken
    ));
    assert!(matches!(
        from(Unit::WouldDeadlock(5, cycle())),
        RequestError::WouldDeadlock(5, same) if same == cycle()
    ));
    assert!(matches!(
        from(Unit::WouldDeadlockTaken(cycle())),
        RequestError::WouldDeadlockTaken(same) if same == cycle()
    ));
    assert!(matches!(from(Unit::Full(3)), RequestError::Full(3)));
    let refusal = io::Error::from(io::ErrorKind::OutOfMemory);
    assert!(matches!(
        from(Unit::NoTimer(4, refusal.into())),
        RequestError::NoTimer(4, same) if same.kind() == io::ErrorKind::OutOfMemory
    ));
}

#[test]
fn unaccepted_requests_have_the_same_error() {
    type Asked = RequestError<u32, ()>;
    fn ask(client: &Client<u32, (), ()>) -> Result<(), Asked> {
        client.request(7).if_room().submit().wait()?.wait()
    }
    let (server, client) = ump::bounded::<u32, (), ()>(1).unwrap();
    client.post(0).wait().unwrap();
    assert!(matches!(ask(&client), Err(RequestError::Full(7))));
    drop(server);
    assert!(matches!(
        ask(&client),
        Err(RequestError::ServerDisappeared(7))
    ));

    assert!(matches!(
        Asked::from(SendError::TimeoutQueued(1)),
        Asked::TimeoutQueued(1)
    ));
    let refusal = io::Error::from(io::ErrorKind::OutOfMemory);
    assert!(matches!(
        Asked::from(SendError::NoTimer(2, refusal.into())),
        Asked::NoTimer(2, same) if same.kind() == io::ErrorKind::OutOfMemory
    ));
}
