#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod async_trait;
mod service;
mod tokens;

use proc_macro::TokenStream;

/// Accepts an implementation of `ump_server::task::Handler` in the form of `ump-server` 0.4.
///
/// In 0.4 the trait used the crate `async-trait`. Now its methods are native `async fn`s, nothing
/// is boxed, and a handler needs no attribute. For handlers that still have one, this attribute
///
/// - writes the lifetime of `ReplyContext<R, E>` in the parameters of methods, which an `async fn`
///   must not leave out;
/// - makes `init` and `term`, which were not async in 0.4, `async fn`s;
/// - leaves everything else as it is.
///
/// ```
/// use std::ops::ControlFlow;
/// use ump_server::{AsyncHandler, ReplyContext, WeakClient, async_trait};
///
/// struct Echo;
///
/// #[async_trait]
/// impl AsyncHandler<u32, u32, (), ()> for Echo {
///     fn init(&mut self, _: WeakClient<u32, u32, ()>) {}
///
///     async fn proc_req(&mut self, msg: u32, rctx: ReplyContext<u32, ()>) -> ControlFlow<()> {
///         let _ = rctx.reply(msg);
///         ControlFlow::Continue(())
///     }
/// }
/// ```
///
/// # Errors
/// Compilation fails if the attribute has arguments, or if it is on anything but an `impl` block of
/// `Handler` or `AsyncHandler`. For other traits use the crate `async-trait`.
///
/// ```compile_fail
/// #[ump_server::async_trait]
/// trait Fetch {
///     async fn fetch(&self) -> u32;
/// }
/// ```
///
/// ```compile_fail
/// # use std::ops::ControlFlow;
/// # use ump_server::{AsyncHandler, ReplyContext};
/// # struct Echo;
/// #[ump_server::async_trait(?Send)]
/// impl AsyncHandler<u32, u32, (), ()> for Echo {
///     async fn proc_req(&mut self, msg: u32, rctx: ReplyContext<'_, u32, ()>) -> ControlFlow<()> {
///         ControlFlow::Continue(())
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn async_trait(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match async_trait::expand(arguments, item.clone()) {
        Ok(item) => item,
        // The item is kept, so that an editor still knows its names.
        Err(error) => error.to_compile_error().into_iter().chain(item).collect(),
    }
}

/// Makes a service of an `impl` block: its methods become requests, with a typed client.
///
/// ```
/// use std::{collections::HashMap, time::Duration};
/// use ump_server::{service, thread};
///
/// #[derive(Default)]
/// pub struct Store {
///     values: HashMap<u32, String>,
///     hits: u64,
/// }
///
/// #[derive(Debug, PartialEq)]
/// pub struct Exists;
///
/// #[service]
/// impl Store {
///     /// Looks up a key.
///     pub fn get(&mut self, key: u32) -> Option<String> {
///         let value = self.values.get(&key).cloned();
///         self.hits += u64::from(value.is_some());
///         value
///     }
///
///     /// Stores a value under a new key.
///     pub fn put(&mut self, key: u32, value: String) -> Result<(), Exists> {
///         if self.values.contains_key(&key) {
///             return Err(Exists);
///         }
///         self.values.insert(key, value);
///         Ok(())
///     }
///
///     /// Forgets the hits.
///     #[timer(every = Duration::from_secs(60))]
///     fn reset(&mut self) {
///         self.hits = 0;
///     }
/// }
///
/// let (client, _) = thread::serve(Store::default()); // or in a pool, as a component, ...
/// let store = StoreClient(client);
/// store.put(1, "one".to_owned()).wait().unwrap();
/// let value: Option<String> = store.get(1).timeout(Duration::from_secs(5)).wait().unwrap(); // or `.await`
/// assert_eq!(value.as_deref(), Some("one"));
/// let refused = store.put(1, "two".to_owned()).wait().unwrap_err();
/// assert_eq!(refused.into_apperr(), Some(Exists));
/// ```
///
/// # The methods
/// Every method of the block that takes `&mut self` or `&self` is a request, unless an attribute
/// says otherwise. Functions without a receiver, constants and types are left alone; methods that
/// are not part of the interface belong into another `impl` block. The methods stay what they are,
/// so that tests can call them without a loop.
///
/// | method | its reply |
/// |---|---|
/// | `fn get(&self, key: u32) -> T` | `T`, and no error |
/// | `fn put(&mut self, ..) -> Result<T, E>`; an alias called `Result` too | `T`, or the error `E` |
/// | `fn watch(&mut self, .., reply: ReplyTo<'_, Self, T, E>)` | what it gives to [`ReplyTo`](../ump_server/service/struct.ReplyTo.html), now or [later](../ump_server/service/struct.ReplyTo.html#method.detach); `E` may be left out |
/// | `#[post] fn log(&mut self, ..)` | none: clients [post](../ump/struct.Client.html#method.post) it |
/// | `#[timer] fn expire(&mut self, ..)` | none: [timers](../ump_server/struct.Timers.html) call it |
/// | `#[timer(every = duration)]`, `#[timer(after = duration)]` | the same, with a timer that begins with the loop; the expression may use `self` |
/// | `#[init] fn begin(&mut self, cx: &ContextOf<Self>)` | it is called before anything else; the parameter may be left out |
/// | `#[term] fn end(&mut self, output: Option<O>) -> Option<O>` | it is called at the end; parameter and result may be left out |
/// | `#[socket] fn on_event(&mut self, event: net::Event)` | none: the loop calls it with the [events](#sockets) of the service's sockets |
/// | `#[ready] async fn wait(&mut self)`, `#[on_ready] fn read(&mut self)` | none: the loop calls the second when the first, which [waits](#sockets) for something beside requests and timers, has resolved |
/// | `#[batch_start] fn begin(&mut self) -> Result<(), E>`, `#[batch_end] fn commit(&mut self) -> Result<(), E>` | they are called before and after each [batch](#batches); the result may be left out |
///
/// Posts, timers, `#[socket]`, `#[on_ready]` and methods with a `ReplyTo` may return
/// `ControlFlow<O>`: `Break` ends the loop. `O` is `()`, or what the argument `output` says.
///
/// If there is a method for batches, the service takes [batches](#batches). Otherwise, if any
/// method is an `async fn`, the service runs on tasks (`ump_server::task::Service`), and otherwise
/// on threads (`ump_server::thread::Service`). Clients can block and await in both cases.
///
/// # What it makes
/// For a type `Store`, beside the block and in its module:
///
/// - `StoreClient`, around the client of the channel. Each of its methods returns the
///   [builder of a request](../ump/struct.Typed.html). It has the documentation and the visibility
///   of the service's method.
/// - For each request a struct with the parameters as fields: `StoreGet { key }`. It has the
///   visibility of the method. A request that
///   was not executed gives it back in its error, and `store.0.ask(message)` sends it again.
/// - The enums `StoreRequest`, `StoreReply`, `StoreRefusal` (the errors) and `StoreTimer` (the
///   tokens of timers), with a variant for each method.
/// - The handler, which calls the methods. Reports of the watchdog, traces and metrics call each
///   request by its method's name.
///
/// A factory that fails, for
/// [`spawn_with`](../ump_server/thread/struct.Builder.html#method.spawn_with), returns
/// `StoreRefusal`. With `start_error = io::Error` that has a variant for it, and the factory can
/// use `?`: `spawn_with(|_| Ok(Store { log: File::open(path)? }))`.
///
/// Nothing is hidden, and nothing is dynamic: a call costs what the channel costs. To compile a
/// service of ten methods takes as long as to compile what the macro writes (`cargo check`: some 15
/// ms more, of 200). This is all that the macro writes for a service with one method, apart from
/// documentation and lints:
///
/// ```
#[doc = include_str!("service/expansion.rs")]
/// # let client = CounterClient(ump_server::thread::serve(Counter(1)).0);
/// # assert_eq!(client.add(2).wait().unwrap(), 3);
/// # assert_eq!(format!("{:?}", CounterAdd { n: 1 }), "CounterAdd { .. }");
/// ```
///
/// # Batches
/// With a method `#[batch_start]`, or `#[batch_end]`, or both, the service handles all requests that are queued in one
/// batch: it is a [`BatchService`](../ump_server/thread/trait.BatchService.html), for
/// [`spawn_batches`](../ump_server/thread/struct.Builder.html#method.spawn_batches) and the components of a system. This store
/// commits once for a batch:
///
/// ```
/// use std::num::NonZeroUsize;
/// use ump_server::{service, thread::Builder};
/// # mod sqlite {
/// #     #[derive(Default)]
/// #     pub struct Connection { pub rows: Vec<String>, pub open: bool, pub full: bool }
/// #     #[derive(Debug)]
/// #     pub struct Error(&'static str);
/// #     impl std::fmt::Display for Error {
/// #         fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.0) }
/// #     }
/// #     impl Connection {
/// #         pub fn execute(&mut self, sql: &str, row: &[&str]) -> Result<i64, Error> {
/// #             match sql {
/// #                 "BEGIN" => self.open = true,
/// #                 "COMMIT" if self.full => return Err(Error("database or disk is full")),
/// #                 "COMMIT" | "ROLLBACK" => self.open = false,
/// #                 _ => { assert!(self.open); self.rows.extend(row.iter().map(|it| it.to_string())); }
/// #             }
/// #             Ok(self.rows.len() as i64)
/// #         }
/// #     }
/// # }
///
/// struct Notes(sqlite::Connection);
///
/// /// It is `Clone`, as all callers of a batch may get it.
/// #[derive(Clone, Debug, PartialEq)]
/// enum Refused { Empty, Database(String) }
///
/// impl From<sqlite::Error> for Refused {
///     fn from(error: sqlite::Error) -> Self {
///         Self::Database(error.to_string())
///     }
/// }
///
/// #[service]
/// impl Notes {
///     #[batch_start]
///     fn begin(&mut self) -> Result<(), Refused> {
///         self.0.execute("BEGIN", &[])?;
///         Ok(())
///     }
///
///     fn add(&mut self, text: String) -> Result<i64, Refused> {
///         if text.is_empty() {
///             return Err(Refused::Empty);
///         }
///         Ok(self.0.execute("INSERT INTO notes VALUES (?)", &[&text])?)
///     }
///
///     #[batch_end]
///     fn commit(&mut self) -> Result<(), Refused> {
///         let Err(error) = self.0.execute("COMMIT", &[]) else { return Ok(()) };
///         let _ = self.0.execute("ROLLBACK", &[]);
///         Err(error.into())
///     }
/// }
///
/// let (client, _) = Builder::new()
///     .spawn_batches(NonZeroUsize::new(256).unwrap(), |_| Ok(Notes(Default::default())))
///     .unwrap();
/// let notes = NotesClient(client);
/// assert_eq!(notes.add("milk".to_owned()).wait().unwrap(), 1); // it is committed
/// assert_eq!(notes.add(String::new()).wait().unwrap_err().into_apperr(), Some(Refused::Empty));
/// # let mut full = Notes(sqlite::Connection { full: true, ..Default::default() });
/// # let (client, _) = Builder::new()
/// #     .spawn_batches(NonZeroUsize::MIN, move |_| Ok(Notes(std::mem::take(&mut full.0)))).unwrap();
/// # let error = NotesClient(client).add("milk".to_owned()).wait().unwrap_err().into_apperr();
/// # assert_eq!(error, Some(Refused::Database("database or disk is full".to_owned())));
/// ```
///
/// | in a batch | its callers get |
/// |---|---|
/// | all is well | their replies, after `#[batch_end]` has returned |
/// | a method returns its error | that error; the batch goes on, and what else it did is committed |
/// | `#[batch_start]` fails | its error; no method is called |
/// | `#[batch_end]` fails | its error instead of a reply; the errors of methods stay |
/// | any method panics | [`NoReply`](../ump/enum.NoReply.html), with the panic's message: the whole batch |
/// | a post, or a `ReplyTo`, returns `Break` | their replies, after `#[batch_end]`. The rest of the batch is not handled and gets `NoReply` |
/// | a caller has left | the method is called as usual; a `ReplyTo` knows that the caller is gone |
///
/// The error of `#[batch_start]` and `#[batch_end]` is `Clone`, and each request's own error is `From` it: a request without
/// an error is refused at compile time, as it could not say that its work is lost. A post has no caller to tell; if it is
/// asked all the same, it gets no reply. The answer by a `ReplyTo` waits for the end of the batch as well; one that was
/// detached is the method's own affair. Timers are called between batches.
///
/// # Sockets
/// With the feature `net` of `ump-server` (on unix), a service on a thread owns sockets, with batches or without. Its method
/// `#[socket]` gets their [events](../ump_server/net/enum.Event.html), between requests and timers:
///
/// ```
/// # #[cfg(unix)] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::net::{Ipv4Addr, SocketAddr};
/// use ump_server::{net::{Event, UdpSocket}, service, thread};
///
/// /// Sends each datagram back, and counts them.
/// struct Echo {
///     socket: UdpSocket,
///     datagrams: u64,
/// }
///
/// #[service(start_error = ump_server::net::Error)]
/// impl Echo {
///     fn datagrams(&self) -> u64 {
///         self.datagrams
///     }
///
///     #[socket]
///     fn on_event(&mut self, event: Event) {
///         let mut buffer = [0; 1500];
///         if let Event::Readable(_) = event {
///             if let Ok(datagram) = self.socket.recv_from(&mut buffer) {
///                 self.datagrams += 1;
///                 let _ = self.socket.send_to(&buffer[..datagram.len], datagram.from); // it may be lost
///             }
///         }
///     }
/// }
///
/// let (send, address) = std::sync::mpsc::channel();
/// let (client, _) = thread::Builder::new().spawn_with(move |cx| {
///     let socket = cx.sockets().udp((Ipv4Addr::LOCALHOST, 0))?;
///     let _ = send.send(socket.local_addr());
///     Ok(Echo { socket, datagrams: 0 })
/// })?;
/// let peer = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
/// let address: SocketAddr = address.recv()??;
/// peer.send_to(b"hello", address)?;
/// assert_eq!(peer.recv(&mut [0; 64])?, 5);
/// assert_eq!(EchoClient(client).datagrams().wait()?, 1);
/// # Ok(())
/// # }
/// # #[cfg(not(unix))] fn main() {}
/// ```
///
/// The handler then has this method as well:
///
/// ```
/// # #[cfg(unix)] fn main() {
/// # use std::ops::ControlFlow;
/// # use ump_server::{net::Event, service::IntoFlow};
/// # struct Gateway;
/// # impl Gateway { fn on_event(&mut self, _: Event) {}
#[doc = include_str!("service/expansion_socket.rs")]
/// # }
/// # let _ = Gateway::on_socket;
/// # }
/// # #[cfg(not(unix))] fn main() {}
/// ```
///
/// A service on a task uses the sockets of its runtime, so `#[socket]` is an error if a method is async. Its method `#[ready]`
/// awaits them, or anything else; then `#[on_ready]` is called. See [`ready`](../ump_server/task/trait.Service.html#method.ready) for
/// what it may await: it is dropped when a request or a timer comes first.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::net::Ipv4Addr;
/// use tokio::net::UdpSocket;
/// use ump_server::{service, task};
///
/// struct Echo {
///     socket: UdpSocket,
///     datagrams: u64,
/// }
///
/// #[service]
/// impl Echo {
///     fn datagrams(&self) -> u64 {
///         self.datagrams
///     }
///
///     #[ready]
///     async fn wait(&mut self) {
///         let _ = self.socket.readable().await; // an error comes back in `read`
///     }
///
///     #[on_ready]
///     fn read(&mut self) {
///         let mut buffer = [0; 1500];
///         if let Ok((len, from)) = self.socket.try_recv_from(&mut buffer) {
///             self.datagrams += 1;
///             let _ = self.socket.try_send_to(&buffer[..len], from); // it may be lost
///         }
///     }
/// }
///
/// let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
/// let address = socket.local_addr()?;
/// let (client, _) = task::serve(Echo { socket, datagrams: 0 });
/// let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
/// peer.send_to(b"hello", address).await?;
/// assert_eq!(peer.recv(&mut [0; 64]).await?, 5);
/// assert_eq!(EchoClient(client).datagrams().await?, 1);
/// # Ok(())
/// # }
/// ```
///
/// The handler then has these methods as well:
///
/// ```
/// # use std::ops::ControlFlow;
/// # use ump_server::service::IntoFlow;
/// # struct Gateway;
/// # impl Gateway { async fn wait(&mut self) {} fn read(&mut self) {}
#[doc = include_str!("service/expansion_ready.rs")]
/// # }
/// # let _ = (Gateway::ready, Gateway::on_ready);
/// ```
///
/// # Topics
/// With `topic = "prefix"`, the service can serve topics of an `ump_router::Router`: its requests are `RequestMessage`s
/// whose topics begin with this prefix, and there is a client for such a topic, `StoreTopic`. Its methods are those of
/// `StoreClient`; a post is a request whose reply is `()`.
///
/// ```
/// use ump_router::{Router, ServeOptions, TopicClient};
/// use ump_server::{service, thread};
///
/// struct Doubler;
///
/// #[service(topic = "double")]
/// impl Doubler {
///     fn double(&self, n: u32) -> u32 {
///         2 * n
///     }
/// }
///
/// let router = Router::new();
/// let (client, _) = thread::serve(Doubler); // or on a task, in a pool, ...
/// let _claim = router.serve_messages_by("here", client, ServeOptions::new()).unwrap();
///
/// let doubler = DoublerTopic(TopicClient::new(&router, "here").unwrap());
/// assert_eq!(doubler.double(2).wait().unwrap(), 4); // or `.await`
/// assert_eq!(router.ask("here", DoublerDouble { n: 3 }).wait().unwrap(), 6); // the same, by hand
/// ```
///
/// # Arguments
/// | argument | |
/// |---|---|
/// | `client = Name`, `request = Name`, `reply = Name`, `error = Name`, `timer = Name` | other names for the client and the enums |
/// | `output = Type` | the value that ends the loop |
/// | `start_error = Type` | the error of a [factory](../ump_server/thread/struct.Builder.html#method.spawn_with): the enum of errors is `From` it, so that `?` works there |
/// | `vis = pub(crate)` | the visibility of the client and the enums, which is else the widest of the methods. The compiler wants it if the service's type is more visible than its methods |
/// | `derive(Clone, ..)` | traits for the messages, and for the enums of requests, replies and errors. (Without `Debug`, there is one that shows names only) |
/// | `topic = "prefix"` | the prefix of the [topics](#topics) that it can serve |
/// | `crate = path`, `router = path` | the paths of `ump_server` and `ump_router`, if they have other names |
///
/// # Generics and attributes
/// The parameters of the block are carried over: each type has those that it uses, with bounds if it
/// names an associated type. Lifetimes cannot be, as a service outlives its caller; nor can
/// parameters of a method, as a message has one type.
///
/// `#[cfg]` on a method is that of all that is made for it. (If only such methods use a
/// generic parameter, an enum has a hidden variant without values, which uses it as well.)
///
/// # Errors
/// A method that cannot be a request is an error at its place. The other methods are expanded all the same.
#[proc_macro_attribute]
pub fn service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(arguments.into(), &item.into()).into()
}
