//! In what the programs differ. The table in `docs/comparison.md` quotes it.

/// What a program does.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) name: &'static str,
    /// The response of a request that expires in the queue says that it was not executed.
    pub(crate) tells_whether_executed: bool,
    /// A request that expires in the queue makes room for another one.
    pub(crate) expired_make_room: bool,
    /// If the database cannot be opened after a panic, the program tries again. Otherwise it has no
    /// owner of the store any more.
    pub(crate) restart_may_fail: bool,
}

pub(crate) const PROGRAMS: [Expected; 5] = [
    Expected {
        name: "ump",
        tells_whether_executed: true,
        expired_make_room: true,
        restart_may_fail: true,
    },
    Expected {
        name: "tokio",
        tells_whether_executed: false,
        expired_make_room: false,
        restart_may_fail: true,
    },
    Expected {
        name: "kameo",
        tells_whether_executed: false,
        expired_make_room: false,
        restart_may_fail: true,
    },
    Expected {
        name: "actix",
        tells_whether_executed: false,
        expired_make_room: true,
        restart_may_fail: true,
    },
    Expected {
        name: "ractor",
        tells_whether_executed: false,
        expired_make_room: false,
        restart_may_fail: false,
    },
];

pub(crate) fn of(name: &str) -> &'static Expected {
    let program = PROGRAMS.iter().find(|program| program.name == name);
    program.expect("the program is in the table")
}
