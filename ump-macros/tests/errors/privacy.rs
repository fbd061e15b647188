//! Types and methods of different visibility.

#![allow(unused)]

pub mod public {
    use ump_server::service;

    /// It is more visible than its methods.
    pub struct Store;

    #[service]
    impl Store {
        pub(crate) fn get(&self) -> u8 {
            1
        }
    }

    /// The same, as it has to be.
    pub struct Told;

    #[service(vis = pub)]
    impl Told {
        pub(crate) fn get(&self) -> u8 {
            1
        }
    }

    pub struct Leaks;

    struct Hidden;

    #[service]
    impl Leaks {
        pub fn get(&self) -> Hidden {
            Hidden
        }
    }
}

fn main() {}
