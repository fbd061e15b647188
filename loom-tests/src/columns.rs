//! The columns of the matrices.

/// Expands to one test for each way to serve, and one for each way in which a request can end. The
/// tests call the functions `served`, `bounded` and `ended` of the module that invokes the macro.
/// Each of these explores one cell.
#[macro_export]
macro_rules! columns {
    () => {
        #[test]
        fn served_by_one_who_waits() {
            served($crate::serve::waiting);
        }

        #[test]
        fn served_by_one_who_waits_until_a_deadline() {
            served($crate::serve::by_deadline);
        }

        #[test]
        fn served_by_one_who_takes_many() {
            served($crate::serve::many_at_a_time);
        }

        #[test]
        fn served_by_one_who_awaits() {
            served($crate::serve::awaiting);
        }

        #[test]
        fn served_by_one_who_awaits_many() {
            served($crate::serve::awaiting_many);
        }

        #[test]
        fn served_by_a_stream() {
            served($crate::serve::by_a_stream);
        }

        #[test]
        fn served_by_one_who_polls() {
            served($crate::serve::polling);
        }

        #[test]
        fn served_by_one_who_pops() {
            served($crate::serve::popping);
        }

        #[test]
        fn served_where_there_is_little_room() {
            bounded($crate::serve::waiting);
        }

        #[test]
        fn served_by_a_task_where_there_is_little_room() {
            bounded($crate::serve::awaiting);
        }

        #[test]
        fn told_of_a_failure() {
            ended($crate::end::Deed::Fails);
        }

        #[test]
        fn let_go_of() {
            ended($crate::end::Deed::LetsGo);
        }

        #[test]
        fn answered_by_another_thread() {
            ended($crate::end::Deed::RepliesElsewhere);
        }

        #[test]
        fn left_by_a_server_that_goes() {
            ended($crate::end::Deed::Goes);
        }
    };
}
