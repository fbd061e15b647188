use std::{error::Error, ops::ControlFlow};

use ump_server::{service, thread};

struct Parse(AddClient);

#[service]
impl Parse {
    #[post]
    fn line(&mut self, line: String) -> ControlFlow<()> {
        let Ok(n) = line.parse() else { return ControlFlow::Continue(()) };
        match self.0.number(n).wait() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()), // the next stage has ended
        }
    }
}

#[derive(Default)]
struct Add(u64);

#[service(output = u64)]
impl Add {
    #[post]
    fn number(&mut self, n: u64) {
        self.0 += n;
    }

    #[term]
    fn end(&mut self, output: Option<u64>) -> Option<u64> {
        output.or(Some(self.0))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let stage = thread::Builder::new().capacity(16);
    let (add, sum) = stage.clone().name("add").serve(Add::default())?;
    let (parse, _) = stage.name("parse").serve(Parse(AddClient(add)))?;
    let first = ParseClient(parse);
    for line in ["1", "two", "3"] {
        first.line(line.into()).wait()?; // waits for room
    }
    drop(first); // each stage ends when it has served what is queued
    assert_eq!(sum.join()?, Some(4));
    Ok(())
}
