//! A subscription beside `StreamExt`, which is in scope here: no method of the one hides a method
//! of the other.

use futures_util::StreamExt;
use ump_router::Router;

use crate::{Number, block_on, publish};

#[test]
fn a_subscription_is_received_from_beside_stream_ext() {
    let router = Router::new();
    let mut numbers = router.subscribe::<Number>("a").unwrap();
    for number in 1..=9 {
        publish(&router, "a", number);
    }
    block_on(async {
        assert_eq!(numbers.stream().next().await.unwrap().unwrap().0, 1);
        assert_eq!(numbers.recv().await.unwrap().0, 2);
        assert_eq!(numbers.next().await.unwrap().unwrap().0, 3);
        let mut two = numbers.stream().take(2);
        while let Some(number) = two.next().await {
            assert!([4, 5].contains(&number.unwrap().0));
        }
    });
    assert_eq!(numbers.len(), 4);
    assert_eq!(numbers.recv().wait().unwrap().0, 6);
    assert_eq!(numbers.try_recv().unwrap().unwrap().0, 7);
    router.close();
    let mut rest = Vec::new();
    #[expect(clippy::explicit_iter_loop, reason = "users may write either")]
    for number in numbers.iter() {
        rest.push(number.unwrap().0);
    }
    assert_eq!(rest, [8, 9]);
    assert!(block_on(numbers.stream().next()).is_none());
    assert!((&mut numbers).into_iter().next().is_none());
}
