//! Concurrent deposits and checks. Built with `--cfg loom`, in every order in which they could run.

use model_example::{
    messages::{Statement, ToAccount, ToAudit},
    passing,
    sync::thread,
    tasks, waiting,
};

/// Explores all orders in which the threads of `model` could run, with at most
/// `LOOM_MAX_PREEMPTIONS` preemptions (by default 2).
#[cfg(loom)]
fn explore(model: impl Fn() + Send + Sync + 'static) {
    explore_with(0, model);
}

/// Explores with one preemption less, for a model that would take minutes.
#[cfg(loom)]
fn explore_large(model: impl Fn() + Send + Sync + 'static) {
    explore_with(1, model);
}

#[cfg(loom)]
fn explore_with(fewer: usize, model: impl Fn() + Send + Sync + 'static) {
    // `loom::model` prints the log. It needs no bound: the replayed checkpoint contains it.
    if std::env::var_os("LOOM_LOG").is_some() {
        return loom::model(model);
    }
    let mut builder = loom::model::Builder::new();
    let bound = builder.preemption_bound.unwrap_or(2);
    builder.preemption_bound = Some(bound.saturating_sub(fewer));
    builder.check(model);
}

/// Runs the model a number of times on native threads.
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

/// Each server handles two requests, one from outside and one from the other server, and ends: the
/// end without clients is another model. One server runs on the model's own thread and the check is
/// requested on that of the audit, as each thread is expensive.
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

/// The wrong version. Not for native threads, which would hang sooner or later.
#[cfg(loom)]
#[test]
#[ignore = "it has to fail: the next test runs it"]
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

/// In its own process rather than by `should_panic`: after a deadlock loom cannot unwind its
/// threads, which aborts the process.
#[cfg(loom)]
#[test]
fn a_deadlock_of_two_servers_is_found() {
    let model = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("a_deposit_and_a_check_at_the_same_time_hang")
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&model.stderr);
    assert!(!model.status.success(), "{report}");
    assert!(report.contains("deadlock; threads = "), "{report}");
}

/// Without concurrent requests the wrong version works: this is what an ordinary test sees.
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
fn servers_end_without_clients() {
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
        // Their end need not be explored here.
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
