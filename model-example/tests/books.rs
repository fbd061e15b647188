//! Deposits and checks at the same time. Built with `--cfg loom`, in every order in which they could run.

use model_example::{
    messages::{Statement, ToAccount, ToAudit},
    passing,
    sync::thread,
    tasks, waiting,
};

/// Explores all the orders in which the threads of `model` could run, with at most `LOOM_MAX_PREEMPTIONS` preemptions (2 if it is not set).
#[cfg(loom)]
fn explore(model: impl Fn() + Send + Sync + 'static) {
    explore_with(0, model);
}

/// The same with one preemption less, for a model that would take minutes.
#[cfg(loom)]
fn explore_large(model: impl Fn() + Send + Sync + 'static) {
    explore_with(1, model);
}

#[cfg(loom)]
fn explore_with(fewer: usize, model: impl Fn() + Send + Sync + 'static) {
    // This one prints the log that is asked for. It has no bound of its own: the checkpoint that is replayed brings it along.
    if std::env::var_os("LOOM_LOG").is_some() {
        return loom::model(model);
    }
    let mut builder = loom::model::Builder::new();
    let bound = builder.preemption_bound.unwrap_or(2);
    builder.preemption_bound = Some(bound.saturating_sub(fewer));
    builder.check(model);
}

/// Runs it some times, as it comes.
#[cfg(not(loom))]
fn explore(model: impl Fn()) {
    for _ in 0..200 {
        model();
    }
}

const ONE_DEPOSIT: Statement = Statement {
    entries: 1,
    balance: 5,
};

/// Each server takes two requests, one from outside and one from the other, and ends: how servers end for want of clients is another
/// model. One runs on the model's own thread, and who asks for the check on that of the audit, as every thread costs.
#[test]
fn a_deposit_and_a_check_at_the_same_time_both_end() {
    explore(|| {
        let (account_server, account) = ump::channel();
        let (audit_server, audit) = ump::channel();
        let of_audit = passing::Audit::new(account.weak());
        let of_account = passing::Account::new(audit.clone());
        let deposit = account.req_async(ToAccount::Deposit(5)).unwrap();
        let thread = thread::spawn(move || {
            let check = audit.req_async(passing::ToAudit::Check).unwrap();
            of_audit.serve(audit_server.iter().take(2));
            check.wait()
        });
        of_account.serve(account_server.iter().take(2));
        assert_eq!(thread.join().unwrap(), Ok(()));
        assert_eq!(deposit.wait(), Ok(ONE_DEPOSIT));
    });
}

/// The same, done wrong. Not for native threads, which would hang, sooner or later.
#[cfg(loom)]
#[test]
#[ignore = "it has to fail: the next one runs it"]
fn a_deposit_and_a_check_at_the_same_time_hang() {
    explore(|| {
        let (account_server, account) = ump::channel();
        let (audit_server, audit) = ump::channel();
        let of_audit = waiting::Audit::new(account.weak());
        let of_account = waiting::Account::new(audit.clone());
        let deposit = account.req_async(ToAccount::Deposit(5)).unwrap();
        let thread = thread::spawn(move || {
            let check = audit.req_async(ToAudit::Check).unwrap();
            of_audit.serve(audit_server.iter().take(2));
            check.wait()
        });
        of_account.serve(account_server.iter().take(2));
        assert_eq!(thread.join().unwrap(), Ok(()));
        assert_eq!(deposit.wait(), Ok(ONE_DEPOSIT));
    });
}

/// In a process of its own, and not by `should_panic`: after a deadlock loom cannot unwind its threads, which aborts the process.
#[cfg(loom)]
#[test]
fn servers_that_wait_for_each_other_are_found() {
    let model = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("a_deposit_and_a_check_at_the_same_time_hang")
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&model.stderr);
    assert!(!model.status.success(), "{report}");
    assert!(report.contains("deadlock; threads = "), "{report}");
}

/// It works as long as nobody asks both at a time. That is what a test sees.
#[test]
fn mutually_waiting_servers_serve_single_requests() {
    explore(|| {
        let (account_server, account) = ump::channel();
        let (audit_server, audit) = ump::channel();
        let of_audit = waiting::Audit::new(account.weak());
        let of_account = waiting::Account::new(audit);
        let deposit = account.req_async(ToAccount::Deposit(5)).unwrap();
        let thread = thread::spawn(move || of_audit.serve(audit_server.iter().take(1)));
        of_account.serve(account_server.iter().take(1));
        thread.join().unwrap();
        assert_eq!(deposit.wait(), Ok(ONE_DEPOSIT));
    });
}

/// The account has a client of the audit, and the audit one of the account.
#[test]
fn servers_end_when_nobody_asks_any_more() {
    explore(|| {
        let (account_server, account) = ump::channel();
        let (audit_server, audit) = ump::channel();
        let of_audit = passing::Audit::new(account.weak());
        let of_account = passing::Account::new(audit);
        let thread = thread::spawn(move || of_account.serve(&account_server));
        drop(account);
        of_audit.serve(&audit_server);
        thread.join().unwrap();
    });
}

#[cfg(loom)]
#[test]
fn concurrent_deposit_and_check_tasks_both_end() {
    use loom::future::block_on;

    explore_large(|| {
        let (account_server, account) = ump::channel();
        let (audit_server, audit) = ump::channel();
        let deposit = account.req_async(ToAccount::Deposit(5)).unwrap();
        let check = audit.req_async(ToAudit::Check).unwrap();
        let mut of_audit = tasks::Audit::new(account.weak());
        let of_account = tasks::run_account(account_server, audit);
        let thread = thread::spawn(|| block_on(of_account));
        block_on(async {
            for _ in 0..2 {
                let (message, caller) = audit_server.async_wait().await.unwrap();
                of_audit.handle(message, caller).await;
            }
        });
        // How they end need not be explored here.
        loom::stop_exploring();
        drop(account);
        thread.join().unwrap();
        assert_eq!(deposit.wait(), Ok(ONE_DEPOSIT));
        assert_eq!(check.wait(), Ok(()));
    });
}

#[cfg(not(loom))]
#[test]
fn concurrent_deposit_and_check_tasks_both_end() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    explore(move || {
        runtime.block_on(async {
            let (account_server, account) = ump::channel();
            let (audit_server, audit) = ump::channel();
            let of_audit = tasks::Audit::new(account.weak());
            let servers = [
                tokio::spawn(tasks::run_account(account_server, audit.clone())),
                tokio::spawn(of_audit.serve(audit_server)),
            ];
            let deposit = account.request(ToAccount::Deposit(5)).submit().await;
            let check = audit.request(ToAudit::Check).submit().await;
            assert_eq!(deposit.unwrap().await.unwrap(), ONE_DEPOSIT);
            check.unwrap().await.unwrap();
            drop((account, audit));
            for server in servers {
                server.await.unwrap();
            }
        });
    });
}
