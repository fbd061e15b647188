//! A worker of a pool whose timer takes long.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

use ump_server::{Client, Context, JoinHandle, Refused, ReplyContext, Timers, task, thread};

use crate::support::{LONG, RUNTIME};

/// Replies with the number of its worker. Its timer waits for the test.
struct Worker {
    number: usize,
    busy: Sender<()>,
    go_on: Arc<Mutex<Receiver<()>>>,
}

impl Worker {
    fn wait(&self) -> ControlFlow<()> {
        self.busy.send(()).expect("the test waits for it");
        let _ = self.go_on.lock().unwrap().recv_timeout(LONG);
        ControlFlow::Continue(())
    }
}

impl thread::Service for Worker {
    type Request = ();
    type Reply = usize;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, (): (), reply: ReplyContext<'_, usize, Refused>) -> ControlFlow<()> {
        let _ = reply.reply(self.number);
        ControlFlow::Continue(())
    }

    fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
        self.wait()
    }
}

impl task::Service for Worker {
    type Request = ();
    type Reply = usize;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    async fn handle(&mut self, (): (), reply: ReplyContext<'_, usize, Refused>) -> ControlFlow<()> {
        let _ = reply.reply(self.number);
        ControlFlow::Continue(())
    }

    async fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
        self.wait()
    }
}

type Cx = Context<(), usize, Refused, ()>;
type Make = Box<dyn Fn(&Cx) -> Result<Worker, Refused> + Send + Sync>;
type Pool = (Client<(), usize, Refused>, JoinHandle<()>);

const WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A request goes to the worker that sleeps, not to the one that is busy with its timer.
fn a_request_does_not_wait_for_a_long_timer(start: impl FnOnce(Make) -> Pool) {
    let (busy, is_busy) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    let (tell, told) = mpsc::channel::<(usize, Timers<()>)>();
    let go_on = Arc::new(Mutex::new(go_on));
    let make = move |cx: &Cx| {
        tell.send((cx.worker(), cx.timers().clone())).unwrap();
        Ok(Worker {
            number: cx.worker(),
            busy: busy.clone(),
            go_on: Arc::clone(&go_on),
        })
    };
    let (client, handle) = start(Box::new(make));
    let timers: HashMap<_, _> = told.iter().take(2).collect();
    let ask = || client.request(()).timeout(Duration::from_secs(20)).wait();
    // Each worker in its turn is the first to be woken for a request, and has a timer.
    for _ in 0..4 {
        let last = ask().expect("both are free");
        timers[&(1 - last)].once(Duration::from_millis(20), ());
        is_busy.recv_timeout(LONG).unwrap();
        let answer = ask();
        go.send(()).unwrap();
        assert_eq!(answer.expect("the other worker is free"), last);
    }
    drop(client);
    handle.join().unwrap();
}

#[test]
fn on_threads() {
    a_request_does_not_wait_for_a_long_timer(|make| {
        thread::Builder::new().spawn_pool(WORKERS, make).unwrap()
    });
}

#[test]
fn on_tasks() {
    a_request_does_not_wait_for_a_long_timer(|make| {
        let tasks = task::Builder::new().runtime(RUNTIME.handle().clone());
        tasks.spawn_pool(WORKERS, make).unwrap()
    });
}
