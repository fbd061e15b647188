//! The tests, the example and the documentation examples of the published `ump-server` 0.4,
//! compiled unchanged.
//!
//! `build.rs` finds them among the dependencies.

// The style of the published files differs.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unexpected_cfgs,
    unfulfilled_lint_expectations,
    unreachable_pub,
    unused,
    clippy::all,
    clippy::pedantic
)]

include!(concat!(env!("OUT_DIR"), "/published_server.rs"));

/// A handler in the 0.4 shape with all its methods, on a task: `init` and `term` are not async.
mod all_methods {
    use std::ops::ControlFlow;
    use ump_server::{AsyncHandler, ReplyContext, WeakClient, async_trait, spawn_task};

    struct Echo {
        client: Option<WeakClient<u32, u32, ()>>,
    }

    #[async_trait]
    impl AsyncHandler<u32, u32, (), u32> for Echo {
        fn init(&mut self, weak_client: WeakClient<u32, u32, ()>) {
            self.client = Some(weak_client);
        }

        async fn proc_req(
            &mut self,
            msg: u32,
            rctx: ReplyContext<u32, ()>,
        ) -> ControlFlow<u32, ()> {
            if msg == 0 {
                return ControlFlow::Break(7);
            }
            let _ = rctx.reply(msg);
            ControlFlow::Continue(())
        }

        fn term(&mut self, rv: Option<u32>) -> Option<u32> {
            rv.filter(|_| self.client.is_some()).map(|rv| rv + 1)
        }
    }

    #[tokio::test]
    async fn sync_init_and_term_of_a_task_handler() {
        let (client, handle) = spawn_task(|_| Ok(Echo { client: None })).unwrap();
        assert_eq!(client.areq(3).await, Ok(3));
        assert!(client.areq(0).await.is_err());
        assert_eq!(handle.await.unwrap(), Some(8));
    }
}
