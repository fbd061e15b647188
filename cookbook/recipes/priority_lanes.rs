use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let (server, client) = ump::channel::<&str, (), ()>();
    client.post("backup").wait()?;
    client.post("report").wait()?;
    client.post("stop").urgent().wait()?; // a request has `urgent()` as well
    drop(client);

    let order: Vec<_> = server.iter().map(|(message, _)| message).collect();
    assert_eq!(order, ["stop", "backup", "report"]);
    Ok(())
}
