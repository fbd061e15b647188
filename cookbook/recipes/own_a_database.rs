use std::{error::Error, time::Duration};

use rusqlite::{Connection, OptionalExtension, params};
use ump_server::{service, thread};

struct Database(Connection);

#[service]
impl Database {
    fn get(&self, key: String) -> rusqlite::Result<Option<String>> {
        let mut select = self.0.prepare_cached("SELECT value FROM pairs WHERE key = ?1")?;
        select.query_row([key], |row| row.get(0)).optional()
    }

    fn put(&self, key: String, value: String) -> rusqlite::Result<()> {
        let mut insert = self.0.prepare_cached("INSERT OR REPLACE INTO pairs VALUES (?1, ?2)")?;
        insert.execute(params![key, value])?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch("CREATE TABLE pairs (key TEXT PRIMARY KEY, value TEXT)")?;
    let (client, handle) = thread::Builder::new()
        .name("database")
        .capacity(64)
        .default_timeout(Duration::from_secs(5))
        .serve(Database(connection))?;
    let database = DatabaseClient(client);

    database.put("tea".into(), "green".into()).await?; // on a thread: `.wait()?`
    let value = database.get("tea".into()).await?;
    assert_eq!(value.as_deref(), Some("green"));

    drop(database); // the last client: the loop ends, and closes the connection
    handle.await?;
    Ok(())
}
