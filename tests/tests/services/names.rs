//! Names that are already there.

use ump_server::thread;

/// All that a macro could take for the standard library's.
#[allow(non_snake_case, dead_code, unused_macros, unused)]
mod shadowed {
    use ::core::{convert::From as _, result};

    pub(super) mod core {}
    pub(super) mod std {}
    pub(super) mod ump {}
    pub(super) mod ump_server {}
    pub(super) type Result<T> = result::Result<T, u8>;
    pub(super) struct Option;
    pub(super) struct Some;
    pub(super) struct None;
    pub(super) struct Ok;
    pub(super) struct Err;
    pub(super) trait From {}
    pub(super) trait Clone {}
    pub(super) trait Send {}
    pub(super) trait Debug {}
    pub(super) struct Infallible;
    macro_rules! unreachable {
        () => {};
    }

    pub(super) use ::ump_server as renamed;

    #[derive(Default)]
    pub(super) struct Odd(u32);

    #[renamed::service(
        crate = renamed,
        request = Question,
        client = Odds,
        error = OddFault,
        reply = Answers,
        timer = OddAlarm,
    )]
    impl Odd {
        /// Parameters with the names of the macro's variables.
        pub(super) fn add(
            &mut self,
            reply: u32,
            request: u32,
            message: u32,
            value: u32,
        ) -> Result<u32> {
            self.0 += reply + request + message + value;
            match self.0 {
                sum if sum < 100 => Result::Ok(sum),
                _ => Result::Err(7),
            }
        }

        pub(super) fn r#type(&mut self, (a, b): (u8, u8), _: u8, r#mod: u8) -> u8 {
            a + b + r#mod
        }

        // The names of traits' methods, and of the macro's own.
        pub(super) fn handle(&mut self) -> u32 {
            1
        }

        pub(super) fn init(&mut self) -> u32 {
            2
        }

        pub(super) fn kind(&self) -> u32 {
            3
        }

        pub(super) fn clone(&self) -> u32 {
            4
        }

        pub(super) fn request(&self) -> renamed::ump::NoReply {
            renamed::ump::NoReply::Dropped
        }

        pub(super) fn from(&self, f: fn(&u8) -> u8) -> u8 {
            f(&5)
        }

        #[timer]
        fn ring(&mut self, timer: u8, cx: u8) {
            self.0 = u32::from(timer + cx);
        }
    }
}

#[test]
fn no_name_is_captured() {
    let (client, _) = thread::serve(shadowed::Odd::default());
    let odd = shadowed::Odds(client);
    assert_eq!(odd.add(1, 2, 3, 4).wait().unwrap(), 10);
    assert_eq!(
        odd.add(100, 0, 0, 0).wait().unwrap_err().into_apperr(),
        Some(7)
    );
    assert_eq!(odd.r#type((1, 2), 0, 3).wait().unwrap(), 6);
    assert_eq!(odd.handle().wait().unwrap(), 1);
    assert_eq!(odd.init().wait().unwrap(), 2);
    assert_eq!(odd.kind().wait().unwrap(), 3);
    assert_eq!(odd.clone().wait().unwrap(), 4);
    assert_eq!(odd.from(|n| n + 1).wait().unwrap(), 6);
    assert!(odd.request().wait().is_ok());
}

#[test]
fn two_services_of_one_module_do_not_meet() {
    // They are local to a function, too.
    struct First;
    struct Second;

    #[ump_server::service]
    impl First {
        fn get(&self) -> u8 {
            1
        }
    }

    #[ump_server::service]
    impl Second {
        fn get(&self) -> u8 {
            2
        }
    }

    let first = FirstClient(thread::serve(First).0);
    let second = SecondClient(thread::serve(Second).0);
    let both = (first.get().wait().unwrap(), second.get().wait().unwrap());
    assert_eq!(both, (1, 2));
}

#[test]
fn an_expansion_stands_on_its_own() {
    use tests::shadowed::{
        Failed, First, FirstClient, FirstRefusal, FirstTopic, Second, SecondClient,
    };

    let start = |value| {
        let builder = thread::Builder::new();
        builder.spawn_with(move |_| Ok(First::<u8, u16>::start(value)?))
    };
    let Err(ump_server::SpawnError::Handler(FirstRefusal::StartError(Failed))) = start(None) else {
        panic!("it has no value")
    };
    let (client, handle) = start(Some(1)).unwrap();
    let first = FirstClient(client.clone());
    assert_eq!(first.set(2).wait().unwrap(), 1);
    let router = ump_router::Router::new();
    let claim = router.serve_messages_by("here", client, ump_router::ServeOptions::new());
    let _claim = claim.unwrap();
    let by_topic = FirstTopic::<u8, u16>(ump_router::TopicClient::new(&router, "here").unwrap());
    assert_eq!(by_topic.get().wait().unwrap(), 2);
    first.end().wait().unwrap();
    handle.join().unwrap();

    let max = std::num::NonZeroUsize::new(8).unwrap();
    let (client, _) = thread::Builder::new()
        .spawn_batches(max, |_| Ok(Second::default()))
        .unwrap();
    let second = SecondClient(client);
    assert_eq!(second.set(3).wait().unwrap(), 0);
    let failed = second.set(7).wait().unwrap_err();
    assert_eq!(failed.into_apperr(), Some(Failed));
    second.nothing().wait().unwrap();
    assert_eq!(second.get().wait().unwrap(), 0);
}
