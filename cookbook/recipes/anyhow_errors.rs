use std::{num::ParseIntError, time::Duration};

use anyhow::Context;
use ump_server::{service, thread, ump::RequestError};

struct Sums(u32);

#[service]
impl Sums {
    fn add(&mut self, number: String) -> Result<u32, ParseIntError> {
        self.0 += number.parse::<u32>()?;
        Ok(self.0)
    }
}

async fn add_all(sums: &SumsClient, numbers: &[&str]) -> anyhow::Result<u32> {
    let mut sum = 0;
    for number in numbers {
        let request = sums.add((*number).to_owned()).timeout(Duration::from_secs(5));
        sum = request.await.with_context(|| format!("adding {number}"))?;
    }
    Ok(sum)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (client, _) = thread::serve(Sums(0));
    let sums = SumsClient(client);
    assert_eq!(add_all(&sums, &["1", "2"]).await?, 3);

    let Err(error) = add_all(&sums, &["3", "four"]).await else { anyhow::bail!("no error") };
    assert_eq!(error.to_string(), "adding four");
    let cause = error.downcast_ref::<RequestError<SumsAdd, ParseIntError>>();
    assert!(matches!(cause, Some(RequestError::App(_))));
    Ok(())
}
