//! The columns of the matrices.

/// Expands to one test for each way to serve, and one for each way in which a request can end. The
/// tests call the functions `served`, `bounded` and `ended` of the module that invokes the macro.
/// Each of these explores one cell.
#[macro_export]
macro_rules! columns {
    () => {
        #[test]
        fn served_by_wait() {
            served($crate::serve::waiting);
        }

        #[test]
        fn served_by_wait_deadline() {
            served($crate::serve::by_deadline);
        }

        #[test]
        fn served_by_wait_many() {
            served($crate::serve::many_at_a_time);
        }

        #[test]
        fn served_by_async_wait() {
            served($crate::serve::awaiting);
        }

        #[test]
        fn served_by_async_wait_many() {
            served($crate::serve::awaiting_many);
        }

        #[test]
        fn served_by_a_stream() {
            served($crate::serve::by_a_stream);
        }

        #[test]
        fn served_by_poll_wait() {
            served($crate::serve::polling);
        }

        #[test]
        fn served_by_try_pop() {
            served($crate::serve::popping);
        }

        #[test]
        fn served_with_capacity_one() {
            bounded($crate::serve::waiting);
        }

        #[test]
        fn served_by_a_task_with_capacity_one() {
            bounded($crate::serve::awaiting);
        }

        #[test]
        fn ended_by_a_failure() {
            ended($crate::end::Deed::Fails);
        }

        #[test]
        fn ended_by_a_dropped_context() {
            ended($crate::end::Deed::LetsGo);
        }

        #[test]
        fn ended_by_a_reply_of_another_thread() {
            ended($crate::end::Deed::RepliesElsewhere);
        }

        #[test]
        fn ended_by_a_dropped_server() {
            ended($crate::end::Deed::Goes);
        }
    };
}
