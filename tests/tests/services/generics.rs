//! Services with generic parameters.

use std::{collections::HashMap, hash::Hash, rc::Rc};

use ump_server::{service, task, thread};

/// A value that is not `Send` keeps its service on one thread.
struct Cache<K, V: Clone, const N: usize> {
    values: HashMap<K, V>,
    _local: Rc<()>,
}

#[service(derive(Clone, Debug))]
impl<K, V: Clone, const N: usize> Cache<K, V, N>
where
    K: Eq + Hash,
{
    fn get(&self, key: K) -> Option<V> {
        self.values.get(&key).cloned()
    }

    fn put(&mut self, key: K, value: V) -> Result<Option<V>, Full<K, N>> {
        if self.values.len() == N && !self.values.contains_key(&key) {
            return Err(Full(key));
        }
        Ok(self.values.insert(key, value))
    }

    fn len(&self) -> usize {
        self.values.len()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Full<K, const N: usize>(K);

#[test]
fn the_parameters_are_those_that_are_used() {
    let (client, _) = thread::Builder::new()
        .spawn_with(|_| {
            Ok(Cache::<&'static str, u8, 1> {
                values: HashMap::new(),
                _local: Rc::new(()),
            })
        })
        .unwrap();
    let cache = CacheClient(client);
    cache.put("a", 1).wait().unwrap();
    assert_eq!(cache.get("a").wait().unwrap(), Some(1));
    let full = cache.put("b", 2).wait().unwrap_err();
    assert_eq!(full.into_apperr(), Some(Full("b")));
    assert_eq!(cache.len().wait().unwrap(), 1);
    // One parameter each, and none.
    let _: CacheRequest<&str, u8> = CacheRequest::Get(CacheGet { key: "a" }).clone();
    let _: CacheLen = CacheLen;
    let _: CacheReply<u8> = CacheReply::Get(None);
}

/// A service whose messages need the bounds of its parameter.
struct Sum<I: Iterator>(Option<I::Item>);

#[service]
impl<I> Sum<I>
where
    I: Iterator + Send + 'static,
    I::Item: std::ops::Add<Output = I::Item> + Clone + Send + 'static,
{
    async fn add(&mut self, item: I::Item) -> I::Item {
        tokio::task::yield_now().await;
        let sum = match self.0.take() {
            Some(sum) => sum + item,
            None => item,
        };
        self.0 = Some(sum.clone());
        sum
    }
}

#[test]
fn an_associated_type_is_a_message() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (client, _) = task::serve(Sum::<std::vec::IntoIter<u32>>(None));
    let sum = SumClient(client);
    assert_eq!(sum.add(1).wait().unwrap(), 1);
    assert_eq!(sum.add(2).wait().unwrap(), 3);
}

/// A service whose parameters are used by methods that do not exist, and by others.
struct Conditional<T, U, const N: usize>(Option<T>, Option<U>);

#[service]
impl<T: Clone, U, const N: usize> Conditional<T, U, N> {
    fn get(&self) -> Option<T> {
        self.0.clone()
    }

    #[cfg(any())]
    fn put(&mut self, value: T, other: U, array: [u8; N]) -> Result<U, T> {
        drop(array);
        Err(value)
    }

    #[cfg(not(any()))]
    fn set(&mut self, value: U) -> bool {
        self.1.replace(value).is_some()
    }

    #[cfg(any())]
    #[timer]
    fn expire(&mut self, value: U) {}

    #[timer]
    fn clear(&mut self) {
        self.0 = None;
    }
}

#[test]
fn parameters_of_methods_that_do_not_exist_are_fine() {
    let (client, _) = thread::serve(Conditional::<u8, u16, 3>(Some(1), None));
    let conditional = ConditionalClient(client);
    assert_eq!(conditional.get().wait().unwrap(), Some(1));
    assert!(!conditional.set(5).wait().unwrap());
    assert!(conditional.set(5).wait().unwrap());
    let _: ConditionalTimer<u16> = ConditionalTimer::Clear.clone();
}
