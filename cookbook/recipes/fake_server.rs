use std::{error::Error, thread::spawn, time::Duration};

use ump_server::service;

struct Names;

#[service]
impl Names {
    fn find(&self, id: u32) -> Option<String> {
        unimplemented!("asks a database for {id}")
    }
}

/// The code under test.
fn greet(names: &NamesClient, id: u32) -> String {
    match names.find(id).timeout(Duration::from_secs(5)).wait() {
        Ok(Some(name)) => format!("Hello, {name}!"),
        Ok(None) => "Who are you?".to_owned(),
        Err(_) => "Come back later.".to_owned(),
    }
}

#[test]
fn everybody_is_greeted() -> Result<(), Box<dyn Error>> {
    let (server, client) = ump::channel(); // a channel without the loop
    let fake = spawn(move || {
        for (NamesRequest::Find(NamesFind { id }), caller) in server.iter().take(2) {
            let _ = caller.reply(NamesReply::Find((id == 7).then(|| "Ann".to_owned())));
        }
    });
    let names = NamesClient(client);
    assert_eq!(greet(&names, 7), "Hello, Ann!");
    assert_eq!(greet(&names, 8), "Who are you?");
    fake.join().map_err(|_| "the fake panicked")?; // and has dropped its server
    assert_eq!(greet(&names, 7), "Come back later.");
    Ok(())
}
