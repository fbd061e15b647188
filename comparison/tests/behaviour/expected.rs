//! The behaviour of each program, as the table in `docs/comparison.md` says.

use std::fmt;

use Way::{ByHand, No, Yes};

/// The programs, in the order of the columns.
pub(crate) const PROGRAMS: [&str; 5] = ["ump", "tokio", "kameo", "actix", "ractor"];

/// How a program has a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The library does it.
    Yes,
    /// The program has code for it.
    ByHand,
    No,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Yes => "yes",
            ByHand => "by hand",
            No => "**no**",
        })
    }
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) test: &'static str,
    pub(crate) property: &'static str,
    pub(crate) ways: [Way; PROGRAMS.len()],
}

pub(crate) const ROWS: [Row; 15] = [
    Row {
        test: "a_value_is_read_back",
        property: "a value is read back",
        ways: [Yes, Yes, Yes, Yes, Yes],
    },
    Row {
        test: "an_error_of_the_application_has_its_status",
        property: "an error of the application is 404 or 409",
        ways: [Yes, Yes, Yes, Yes, Yes],
    },
    Row {
        test: "a_full_queue_is_503_at_once",
        property: "a full queue is 503 with `Retry-After`, at once",
        ways: [Yes, Yes, Yes, ByHand, Yes],
    },
    Row {
        test: "a_request_that_expires_in_the_queue_is_504",
        property: "a request that expires in the queue is 504",
        ways: [Yes, Yes, Yes, Yes, Yes],
    },
    Row {
        test: "an_expired_request_is_never_executed",
        property: "… it is never executed",
        ways: [Yes, ByHand, ByHand, Yes, ByHand],
    },
    Row {
        test: "an_expired_request_learns_that",
        property: "… its response says that it was not executed",
        ways: [Yes, No, No, No, No],
    },
    Row {
        test: "an_expired_request_makes_room",
        property: "… it makes room for another request",
        ways: [Yes, No, No, ByHand, No],
    },
    Row {
        test: "a_request_that_expires_while_executed_is_504",
        property: "a request that expires while it is executed is 504",
        ways: [Yes, Yes, Yes, Yes, Yes],
    },
    Row {
        test: "a_panic_is_500_for_the_request_in_hand",
        property: "a panic is 500 for the request in hand, at once",
        ways: [Yes, ByHand, Yes, ByHand, Yes],
    },
    Row {
        test: "a_panic_spares_the_queue",
        property: "… queued requests are executed after the restart",
        ways: [Yes, ByHand, Yes, ByHand, Yes],
    },
    Row {
        test: "a_panic_closes_the_connection",
        property: "… the restart opens a new connection, without the old transaction",
        ways: [Yes, ByHand, Yes, ByHand, Yes],
    },
    Row {
        test: "a_restart_may_fail",
        property: "… it is tried again if the database cannot be opened",
        ways: [Yes, ByHand, Yes, ByHand, ByHand],
    },
    Row {
        test: "an_overload_loses_nothing",
        property: "an overload with short deadlines: each response is true",
        ways: [Yes, Yes, Yes, Yes, Yes],
    },
    Row {
        test: "a_signal_drains",
        property: "SIGINT: what was accepted is answered, and the exit code is 0",
        ways: [Yes, Yes, Yes, Yes, Yes],
    },
    Row {
        test: "an_executed_request_ends_before_the_process",
        property: "… a request that nobody waits for any more is executed to its end",
        ways: [Yes, Yes, Yes, ByHand, Yes],
    },
];

/// Returns whether the program has the property that is tested.
pub(crate) fn holds(test: &str, program: &str) -> bool {
    let row = ROWS.iter().find(|row| row.test == test);
    let column = PROGRAMS.iter().position(|name| *name == program);
    row.expect("the test is in the table").ways[column.expect("the program is in the table")] != No
}
