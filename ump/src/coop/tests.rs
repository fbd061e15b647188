//! Unit tests of the cooperative budget.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
    thread,
};

use super::*;

#[derive(Default)]
struct Task(AtomicUsize);

// ORDERING: Relaxed for every operation on `Task`: each test uses one thread.
impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll(coop: &mut Coop, task: &Arc<Task>) -> bool {
    let waker = Waker::from(Arc::clone(task));
    let mut cx = Context::from_waker(&waker);
    coop.poll(&mut cx, |_| Poll::Ready(())).is_ready()
}

/// Runs a test on a thread whose budget nothing else uses.
fn alone(test: impl FnOnce() + Send + 'static) {
    thread::spawn(test).join().unwrap();
}

fn spend(task: &Arc<Task>) {
    for _ in 0..BUDGET {
        assert!(poll(&mut Coop::new(), task));
    }
}

#[test]
fn after_its_budget_a_future_yields_once() {
    alone(|| {
        let task = Arc::new(Task::default());
        let mut stream = Coop::new();
        for turn in 0..3 {
            for _ in 0..BUDGET {
                assert!(poll(&mut stream, &task));
            }
            assert!(!poll(&mut stream, &task));
            assert_eq!(task.0.load(Ordering::Relaxed), turn + 1);
        }
    });
}

#[test]
fn all_futures_of_a_task_yield_together() {
    alone(|| {
        let task = Arc::new(Task::default());
        let mut streams = [(); 3].map(|()| Coop::new());
        for _ in 0..3 {
            let mut results = 0;
            // The first stream that is ready, as with `select!`, by a task that goes on as long
            // as one is.
            while streams.iter_mut().any(|stream| poll(stream, &task)) {
                results += 1;
            }
            // Each stream may have yielded in an earlier turn.
            assert!(results <= 4 * BUDGET, "{results}");
        }
    });
}

#[test]
fn few_futures_of_other_tasks_yield() {
    alone(|| {
        let tasks: Vec<_> = (0..100).map(|_| Arc::new(Task::default())).collect();
        spend(&tasks[0]);
        let mut futures: Vec<_> = tasks.iter().map(|_| Coop::new()).collect();
        let both = futures.iter_mut().zip(&tasks);
        let yielded = both
            .map(|(coop, task)| poll(coop, task))
            .filter(|ready| !ready);
        let yielded = yielded.count();
        std::mem::forget(futures);
        assert_eq!(yielded, 1 + usize::from(OTHERS));
    });
}

#[test]
fn what_is_dropped_after_it_yielded_restores_the_budget() {
    alone(|| {
        let task = Arc::new(Task::default());
        spend(&task);
        assert!(!poll(&mut Coop::new(), &task));
        spend(&task);
        assert!(!poll(&mut Coop::new(), &task));
    });
}

#[test]
fn results_that_were_waited_for_are_not_counted() {
    alone(|| {
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut cx = Context::from_waker(&waker);
        let mut stream = Coop::new();
        for _ in 0..10 * BUDGET {
            assert!(stream.poll(&mut cx, |_| Poll::<()>::Pending).is_pending());
            assert!(poll(&mut stream, &task));
        }
        assert_eq!(task.0.load(Ordering::Relaxed), 0);
        spend(&task);
        assert!(stream.poll(&mut cx, |_| Poll::<()>::Pending).is_pending());
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn nobody_yields_to_a_waker_that_wakes_nobody() {
    alone(|| {
        let mut cx = Context::from_waker(Waker::noop());
        let mut ready = || Coop::new().poll(&mut cx, |_| Poll::Ready(())).is_ready();
        assert!((0..10 * BUDGET).all(|_| ready()));
        assert!(with_budget(0, || !ready()));
        assert!(ready());
        // Such a poll does not restore the budget of the task that makes it.
        let task = Arc::new(Task::default());
        assert!(!poll(&mut Coop::new(), &task));
    });
}

#[test]
fn a_budget_within_another_leaves_that_as_it_was() {
    alone(|| {
        let task = Arc::new(Task::default());
        for _ in 1..BUDGET {
            assert!(poll(&mut Coop::new(), &task));
        }
        with_budget(u32::MAX, || (0..9).for_each(|_| spend(&task)));
        assert!(with_budget(1, || poll(&mut Coop::new(), &task)));
        assert!(poll(&mut Coop::new(), &task));
        assert!(!poll(&mut Coop::new(), &task));
    });
}
