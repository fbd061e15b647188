use std::{convert::Infallible, error::Error, fmt, ops::ControlFlow};
use ump_server::{
    Client, ReplyContext,
    service::Interface,
    thread,
    ump::{Ask, Request, Typed},
};

pub struct Counter(u32);

// #[service]
impl Counter {
    pub fn add(&mut self, n: u32) -> u32 {
        self.0 += n;
        self.0
    }
}

pub struct CounterAdd {
    pub n: u32,
}

impl fmt::Debug for CounterAdd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CounterAdd { .. }")
    }
}

impl Ask<CounterRequest, CounterReply, CounterRefusal> for CounterAdd {
    type Reply = u32;
    type Error = Infallible;

    fn into_request(self) -> CounterRequest {
        CounterRequest::Add(self)
    }

    fn from_request(request: CounterRequest) -> Self {
        match request {
            CounterRequest::Add(message) => message,
            _ => unreachable!("`into_request` made this message"),
        }
    }

    fn from_answer(
        answer: Result<CounterReply, CounterRefusal>,
    ) -> Option<Result<Self::Reply, Self::Error>> {
        match answer {
            Ok(CounterReply::Add(reply)) => Some(Ok(reply)),
            _ => None,
        }
    }
}

pub enum CounterRequest {
    Add(CounterAdd),
}

impl fmt::Debug for CounterRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CounterRequest::Add(_) => f.write_str("Add(..)"),
        }
    }
}

pub enum CounterReply {
    Add(u32),
}

impl fmt::Debug for CounterReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            CounterReply::Add(_) => f.write_str("Add(..)"),
        }
    }
}

pub enum CounterRefusal {}

impl fmt::Debug for CounterRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl fmt::Display for CounterRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Error for CounterRefusal {}

pub struct CounterClient(pub Client<CounterRequest, CounterReply, CounterRefusal>);

impl CounterClient {
    pub fn add(
        &self,
        n: u32,
    ) -> Typed<Request<'_, CounterRequest, CounterReply, CounterRefusal>, CounterAdd> {
        self.0.ask(CounterAdd { n })
    }
}

impl From<Client<CounterRequest, CounterReply, CounterRefusal>> for CounterClient {
    fn from(client: Client<CounterRequest, CounterReply, CounterRefusal>) -> Self {
        Self(client)
    }
}

impl Clone for CounterClient {
    fn clone(&self) -> Self {
        Self(Clone::clone(&self.0))
    }
}

impl fmt::Debug for CounterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Interface for Counter {
    type Request = CounterRequest;
    type Reply = CounterReply;
    type Error = CounterRefusal;
    type Timer = ();
    type Client = CounterClient;
}

impl thread::Service for Counter {
    type Request = CounterRequest;
    type Reply = CounterReply;
    type Error = CounterRefusal;
    type Timer = ();
    type Output = ();

    fn handle(
        &mut self,
        request: CounterRequest,
        reply: ReplyContext<'_, CounterReply, CounterRefusal>,
    ) -> ControlFlow<()> {
        match request {
            CounterRequest::Add(message) => {
                let _ = reply.reply(CounterReply::Add(self.add(message.n)));
                ControlFlow::Continue(())
            }
        }
    }

    fn kind(&self, request: &CounterRequest) -> &'static str {
        match *request {
            CounterRequest::Add(_) => "add",
        }
    }
}
