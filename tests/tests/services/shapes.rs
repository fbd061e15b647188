//! Shapes of methods, and where a service can be.
#![allow(
    clippy::boxed_local,
    clippy::just_underscores_and_digits,
    clippy::new_ret_no_self,
    clippy::toplevel_ref_arg,
    clippy::trivially_copy_pass_by_ref,
    clippy::wrong_self_convention,
    reason = "odd shapes are the subject"
)]

use std::{fmt::Debug, future::Future, pin::Pin, sync::mpsc};

use ump_server::{service, thread};

/// A service without methods.
struct Empty;

#[service]
impl Empty {}

/// One without methods, and with parameters.
struct Idle<T>(T);

#[service]
impl<T: Debug> Idle<T> {
    #[init]
    fn begin(&mut self) {
        let _ = format!("{:?}", self.0);
    }
}

#[test]
fn a_service_may_have_no_methods() {
    let (client, handle) = thread::serve(Empty);
    drop(EmptyClient(client));
    handle.join().unwrap();
    let (client, handle) = thread::serve(Idle(1));
    drop(IdleClient::from(client));
    handle.join().unwrap();
}

#[derive(Clone, Debug, PartialEq)]
struct Point {
    x: u32,
    y: u32,
}

struct Shapes<const N: usize>([u32; N]);

type Callback = Box<dyn for<'a> Fn(&'a str) -> &'a str + Send>;

#[service]
impl<const N: usize> Shapes<N>
where
    [u32; N]: Send,
{
    const NAME: &'static str = "shapes";

    fn new(&self) -> u32 {
        self.0[0]
    }

    fn wait(&self) -> &'static str {
        Self::NAME
    }

    fn ask(&mut self, Point { x, y: up }: Point, [a, b]: [u32; 2]) -> u32 {
        x + up + a + b
    }

    fn timeout(&self, ref mut n: u32, &m: &'static u32) -> u32 {
        *n += m;
        *n
    }

    fn drop(&mut self, array: [u32; N]) -> [u32; N] {
        std::mem::replace(&mut self.0, array)
    }

    extern "C" fn foreign(&self, n: u32) -> u32 {
        n + 1
    }

    fn tuple(&self, nested: Vec<(u8, Option<Box<[u16]>>)>) -> (usize, ()) {
        (nested.len(), ())
    }

    fn callback(&self, f: Callback, g: fn(u32) -> u32) -> usize {
        f("abc").len() + g(1) as usize
    }

    fn future(&self, f: Pin<Box<dyn Future<Output = u32> + Send>>) -> u32 {
        tests::block_on(f)
    }

    fn own(&self, other: Box<Self>) -> Self {
        Self(other.0)
    }

    fn r#match(&self, r#in: u32, r#fn: Option<u32>) -> Option<u32> {
        r#fn.map(|n| n + r#in)
    }

    fn sender(&self, sender: mpsc::Sender<u32>) -> Result<(), mpsc::SendError<u32>> {
        sender.send(self.0[0])
    }

    #[deprecated = "use `new`"]
    #[must_use]
    fn old(&self) -> u32 {
        self.0[0]
    }

    #[inline(never)]
    #[doc(hidden)]
    fn hidden(&self, mut n: u32) -> u32 {
        n += 1;
        n
    }

    fn snake_case_2(&self, _: u8, __: u8) {}

    #[allow(non_snake_case)]
    fn Camel(&self) {}
}

#[test]
fn methods_have_the_shapes_of_methods() {
    let (client, _) = thread::serve(Shapes([1, 2]));
    let shapes = ShapesClient(client);
    assert_eq!(shapes.new().wait().unwrap(), 1);
    assert_eq!(shapes.wait().wait().unwrap(), "shapes");
    let point = Point { x: 1, y: 2 };
    assert_eq!(shapes.ask(point, [3, 4]).wait().unwrap(), 10);
    assert_eq!(shapes.timeout(1, &2).wait().unwrap(), 3);
    assert_eq!(shapes.drop([3, 4]).wait().unwrap(), [1, 2]);
    assert_eq!(shapes.foreign(1).wait().unwrap(), 2);
    assert_eq!(shapes.tuple(vec![(1, None)]).wait().unwrap(), (1, ()));
    let callback: Callback = Box::new(|text| &text[1..]);
    assert_eq!(shapes.callback(callback, |n| n).wait().unwrap(), 3);
    let future = Box::pin(std::future::ready(5));
    assert_eq!(shapes.future(future).wait().unwrap(), 5);
    let own = shapes.own(Box::new(Shapes([5, 6]))).wait().unwrap();
    assert_eq!(own.0, [5, 6]);
    assert_eq!(shapes.r#match(1, Some(2)).wait().unwrap(), Some(3));
    let (sender, receiver) = mpsc::channel();
    shapes.sender(sender).wait().unwrap();
    assert_eq!(receiver.recv(), Ok(3));
    #[allow(deprecated)]
    let old = shapes.old().wait().unwrap();
    assert_eq!(old, 3);
    assert_eq!(shapes.hidden(1).wait().unwrap(), 2);
    shapes.snake_case_2(1, 2).wait().unwrap();
    shapes.Camel().wait().unwrap();
}

mod outer {
    pub(super) mod inner {
        pub(crate) struct Deep(pub(super) Private);

        /// It is known to two modules only.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(in crate::shapes) struct Private(pub(in crate::shapes) u8);
    }

    /// The block is not in the module of the type.
    #[ump_server::service(vis = pub(crate))]
    impl inner::Deep {
        pub(in crate::shapes) fn private(&mut self, value: inner::Private) -> inner::Private {
            std::mem::replace(&mut self.0, value)
        }

        pub(super) fn get(&self) -> u8 {
            self.0.0
        }

        fn own(&self) -> u8 {
            self.0.0
        }
    }

    pub(super) fn serve() -> DeepClient {
        let client = DeepClient(ump_server::thread::serve(inner::Deep(inner::Private(1))).0);
        assert_eq!(client.own().wait().unwrap(), 1);
        client
    }
}

#[test]
fn visibilities_are_those_of_the_methods() {
    let deep = outer::serve();
    let private = outer::inner::Private(2);
    assert_eq!(deep.private(private).wait().unwrap().0, 1);
    assert_eq!(deep.get().wait().unwrap(), 2);
}

macro_rules! many {
    ($($name:ident)*) => {
        struct Many(u32);

        #[service]
        impl Many {
            $(
                fn $name(&mut self, n: u32) -> Result<u32, String> {
                    self.0 += n;
                    Ok(self.0)
                }
            )*
        }

        #[test]
        fn a_service_may_have_a_hundred_methods() {
            let many = ManyClient(thread::serve(Many(0)).0);
            let mut sum = 0;
            $(
                sum += 1;
                assert_eq!(many.$name(1).wait().unwrap(), sum);
            )*
            assert_eq!(sum, 100);
        }
    };
}

many! {
    m00 m01 m02 m03 m04 m05 m06 m07 m08 m09
    m10 m11 m12 m13 m14 m15 m16 m17 m18 m19
    m20 m21 m22 m23 m24 m25 m26 m27 m28 m29
    m30 m31 m32 m33 m34 m35 m36 m37 m38 m39
    m40 m41 m42 m43 m44 m45 m46 m47 m48 m49
    m50 m51 m52 m53 m54 m55 m56 m57 m58 m59
    m60 m61 m62 m63 m64 m65 m66 m67 m68 m69
    m70 m71 m72 m73 m74 m75 m76 m77 m78 m79
    m80 m81 m82 m83 m84 m85 m86 m87 m88 m89
    m90 m91 m92 m93 m94 m95 m96 m97 m98 m99
}

struct Conditions(u32);

#[service]
impl Conditions {
    /// Exists under a condition of a condition.
    #[cfg_attr(all(), cfg(any()))]
    fn never(&self) -> Missing {
        Missing
    }

    #[cfg_attr(all(), cfg(all()))]
    #[cfg_attr(all(), doc = "Is documented under a condition.")]
    #[cfg_attr(all(), inline)]
    fn always(&self) -> u32 {
        self.0
    }
}

#[test]
fn a_condition_may_be_under_a_condition() {
    let (client, _loop) = thread::serve(Conditions(1));
    assert_eq!(ConditionsClient(client).always().wait().unwrap(), 1);
}
