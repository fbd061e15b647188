//! Cycles of servers, found by a hook.

use super::*;

// ---- deadlock detection

/// The graph of waits between servers with one thread each.
#[derive(Default)]
struct Graph {
    names: HashMap<ChannelId, &'static str>,
    edges: Mutex<HashMap<ChannelId, ChannelId>>,
}

/// The thread of one of the servers.
struct Node(Arc<Graph>, ChannelId);

impl Watcher for Node {
    fn before(&self, wait: &Wait) -> Result<(), Cycle> {
        let Self(graph, own) = self;
        let mut edges = graph.edges.lock().unwrap();
        let mut path = vec![*own];
        let mut next = Some(wait.channel());
        while let Some(server) = next {
            if server == *own {
                return Err(Cycle::new(path.iter().map(|id| graph.names[id])));
            }
            path.push(server);
            next = edges.get(&server).copied();
        }
        edges.insert(*own, wait.channel());
        Ok(())
    }

    fn after(&self, _: &Wait) {
        self.0.edges.lock().unwrap().remove(&self.1);
    }
}

/// Serves one of the servers. If requested, it first calls the other server once both are busy, and
/// replies with that outcome.
fn serve(
    graph: &Arc<Graph>,
    server: &Arc<Asked>,
    other: Client<bool, String, Refused>,
    both_busy: Arc<Barrier>,
) -> thread::JoinHandle<()> {
    let (node, server) = (Node(Arc::clone(graph), server.id()), Arc::clone(server));
    thread::spawn(move || {
        let _watched = hooks::watch(Arc::new(node));
        while let Ok((asks, rctx)) = server.wait() {
            let said = if asks {
                both_busy.wait();
                let answer = other.request(false).wait();
                answer.unwrap_or_else(|error| error.to_string())
            } else {
                "yes".to_owned()
            };
            rctx.reply(said).unwrap();
        }
    })
}

type Asked = Server<bool, String, Refused>;

#[test]
fn only_one_server_of_a_cycle_is_refused() {
    must_end(|| {
        let (a, ask_a) = ump::channel();
        let (b, ask_b) = ump::channel();
        let (a, b): (Arc<Asked>, Arc<Asked>) = (Arc::new(a), Arc::new(b));
        let graph = Arc::new(Graph {
            names: HashMap::from([(a.id(), "a"), (b.id(), "b")]),
            ..Graph::default()
        });
        let busy = Arc::new(Barrier::new(2));
        let first = ask_a.req_async(true).unwrap();
        let second = ask_b.req_async(true).unwrap();
        let servers = [
            serve(&graph, &a, ask_b, Arc::clone(&busy)),
            serve(&graph, &b, ask_a, busy),
        ];
        let (first, second) = (first.wait().unwrap(), second.wait().unwrap());
        a.close();
        b.close();
        for server in servers {
            server.join().unwrap();
        }
        let names_cycle = |text: &str, cycle| text.ends_with(cycle);
        assert!(
            (first == "yes" && names_cycle(&second, "b → a → b"))
                || (second == "yes" && names_cycle(&first, "a → b → a")),
            "{first}; {second}"
        );
        for stats in [a.stats(), b.stats()] {
            assert_balanced(&stats);
        }
        assert_eq!(
            a.stats().would_deadlock_queued + b.stats().would_deadlock_queued,
            1
        );
        assert!(graph.edges.lock().unwrap().is_empty());
    });
}
