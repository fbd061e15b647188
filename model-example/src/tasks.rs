//! Right, as tasks: the account sends the record, keeps what it owes, and takes the next request while the audit is at work.
//!
//! They name no executor: [`run_account`] and [`Audit::serve`] are futures, and whoever starts them says where they run.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use ump::{Client, RequestError, Server, WaitReply, WeakClient};

use crate::{
    journal::Journal,
    messages::{Checker, Complaint, Depositor, NotOnRecord, Statement, ToAccount, ToAudit},
};

type AccountServer = Server<ToAccount, Statement, NotOnRecord>;

/// Whether the audit has it on record.
type Recorded = Result<(), RequestError<ToAudit, Complaint>>;

/// A deposit that the audit has been told of.
struct Unanswered {
    record: WaitReply<(), Complaint, RequestError<ToAudit, Complaint>>,
    after: Statement,
    depositor: Depositor,
}

enum Event {
    Asked(ToAccount, Depositor),
    Recorded(Recorded, Unanswered),
}

/// Runs the account until it has no client and owes nothing.
pub async fn run_account(server: AccountServer, audit: Client<ToAudit, (), Complaint>) {
    let mut now = Statement::default();
    let mut unanswered = VecDeque::new();
    while let Some(event) = poll_fn(|cx| poll_next(&server, &mut unanswered, cx)).await {
        match event {
            Event::Asked(ToAccount::Deposit(amount), depositor) => {
                // This waits for room in the audit's queue, of which there always is: it is unbounded.
                match audit.request(ToAudit::Record(amount)).submit().await {
                    Ok(record) => {
                        now = now.after(amount);
                        unanswered.push_back(Unanswered {
                            record,
                            after: now,
                            depositor,
                        });
                    }
                    Err(_) => drop(depositor.fail(NotOnRecord)),
                }
            }
            Event::Asked(ToAccount::Balance, caller) => drop(caller.reply(now)),
            Event::Recorded(recorded, deposit) => {
                let answer = recorded.map(|()| deposit.after).map_err(|_| NotOnRecord);
                let _ = deposit.depositor.answer(answer);
            }
        }
    }
}

/// What happens first: the audit answers the oldest record, or somebody asks. None: there is nothing left to do.
fn poll_next(
    server: &AccountServer,
    unanswered: &mut VecDeque<Unanswered>,
    cx: &mut Context<'_>,
) -> Poll<Option<Event>> {
    if let Some(mut oldest) = unanswered.pop_front() {
        match Pin::new(&mut oldest.record).poll(cx) {
            Poll::Ready(recorded) => return Poll::Ready(Some(Event::Recorded(recorded, oldest))),
            Poll::Pending => unanswered.push_front(oldest),
        }
    }
    match server.poll_wait(cx) {
        Poll::Ready(Ok((message, caller))) => Poll::Ready(Some(Event::Asked(message, caller))),
        Poll::Ready(Err(_)) if unanswered.is_empty() => Poll::Ready(None),
        _ => Poll::Pending,
    }
}

/// An audit that waits for its account.
#[derive(Debug)]
pub struct Audit {
    journal: Journal,
    /// Weak: the account has a client of the audit, and the two would keep each other alive.
    account: WeakClient<ToAccount, Statement, NotOnRecord>,
}

impl Audit {
    /// One that has nothing on record.
    #[must_use]
    pub fn new(account: WeakClient<ToAccount, Statement, NotOnRecord>) -> Self {
        Self {
            journal: Journal::default(),
            account,
        }
    }

    /// Answers until there is no client.
    pub async fn serve(mut self, server: Server<ToAudit, (), Complaint>) {
        while let Ok((message, caller)) = server.async_wait().await {
            self.handle(message, caller).await;
        }
    }

    /// Answers one request. It may wait for the account, which never waits for it before it takes the next request.
    pub async fn handle(&mut self, message: ToAudit, caller: Checker) {
        match message {
            ToAudit::Record(amount) => {
                self.journal.record(amount);
                let _ = caller.reply(());
            }
            ToAudit::Check => match self.state().await {
                Some(stated) => self.journal.check(stated, caller),
                None => drop(caller.fail(Complaint::NoAccount)),
            },
        }
    }

    /// Has the account state what it comes to, if it is there.
    async fn state(&self) -> Option<Statement> {
        let account = self.account.upgrade()?;
        account.areq(ToAccount::Balance).await.ok()
    }
}
