//! Right, as tasks: the account sends the record, keeps the reply context, and handles the next
//! request while the audit works.
//!
//! They need no particular executor: [`run_account`] and [`Audit::serve`] are futures.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use ump::{Client, RequestError, Server, WaitReply, WeakClient};

use crate::{
    journal::Journal,
    messages::{
        AccountContext, AuditContext, CheckError, NotRecorded, Statement, ToAccount, ToAudit,
    },
};

type AccountServer = Server<ToAccount, Statement, NotRecorded>;

/// The audit's reply to a record.
type Recorded = Result<(), RequestError<ToAudit, CheckError>>;

/// A deposit whose record was sent to the audit.
struct PendingDeposit {
    record: WaitReply<(), CheckError, RequestError<ToAudit, CheckError>>,
    after: Statement,
    depositor: AccountContext,
}

enum Event {
    Request(ToAccount, AccountContext),
    Recorded(Recorded, PendingDeposit),
}

/// Runs the account until it has no clients and no pending deposits.
pub async fn run_account(server: AccountServer, audit: Client<ToAudit, (), CheckError>) {
    let mut now = Statement::default();
    let mut pending = VecDeque::new();
    while let Some(event) = poll_fn(|cx| poll_next(&server, &mut pending, cx)).await {
        match event {
            Event::Request(ToAccount::Deposit(amount), depositor) => {
                // The audit's queue is unbounded, so this does not wait.
                match audit.request(ToAudit::Record(amount)).submit().await {
                    Ok(record) => {
                        now = now.after(amount);
                        pending.push_back(PendingDeposit {
                            record,
                            after: now,
                            depositor,
                        });
                    }
                    Err(_) => drop(depositor.fail(NotRecorded)),
                }
            }
            Event::Request(ToAccount::Balance, caller) => drop(caller.reply(now)),
            Event::Recorded(recorded, deposit) => {
                let answer = recorded.map(|()| deposit.after).map_err(|_| NotRecorded);
                let _ = deposit.depositor.answer(answer);
            }
        }
    }
}

/// Polls for the audit's reply to the oldest record, and for a request; `None` if nothing is left
/// to do.
fn poll_next(
    server: &AccountServer,
    pending: &mut VecDeque<PendingDeposit>,
    cx: &mut Context<'_>,
) -> Poll<Option<Event>> {
    if let Some(mut oldest) = pending.pop_front() {
        match Pin::new(&mut oldest.record).poll(cx) {
            Poll::Ready(recorded) => return Poll::Ready(Some(Event::Recorded(recorded, oldest))),
            Poll::Pending => pending.push_front(oldest),
        }
    }
    match server.poll_wait(cx) {
        Poll::Ready(Ok((message, caller))) => Poll::Ready(Some(Event::Request(message, caller))),
        Poll::Ready(Err(_)) if pending.is_empty() => Poll::Ready(None),
        _ => Poll::Pending,
    }
}

/// An audit that waits for its account.
#[derive(Debug)]
pub struct Audit {
    journal: Journal,
    /// Weak: the account has a client of the audit, and the two would keep each other alive.
    account: WeakClient<ToAccount, Statement, NotRecorded>,
}

impl Audit {
    /// Makes an audit without records.
    #[must_use]
    pub fn new(account: WeakClient<ToAccount, Statement, NotRecorded>) -> Self {
        Self {
            journal: Journal::default(),
            account,
        }
    }

    /// Handles requests until there are no clients.
    pub async fn serve(mut self, server: Server<ToAudit, (), CheckError>) {
        while let Ok((message, caller)) = server.async_wait().await {
            self.handle(message, caller).await;
        }
    }

    /// Handles one request. It may wait for the account, which never waits for it within its loop.
    pub async fn handle(&mut self, message: ToAudit, caller: AuditContext) {
        match message {
            ToAudit::Record(amount) => {
                self.journal.record(amount);
                let _ = caller.reply(());
            }
            ToAudit::Check => match self.statement().await {
                Some(stated) => self.journal.check(stated, caller),
                None => drop(caller.fail(CheckError::NoAccount)),
            },
        }
    }

    /// Requests the statement of the account, if it still exists.
    async fn statement(&self) -> Option<Statement> {
        let account = self.account.upgrade()?;
        account.areq(ToAccount::Balance).await.ok()
    }
}
