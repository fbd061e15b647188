//! The stand-in for loops with sockets without the feature `net`: there are none.

use super::work::Work;
use crate::worker::lifecycle::{Served, Worker};

pub(super) fn serve_with_sockets<S, R, E, RV, T, H: Work<S, R, E, RV, T>>(
    _: &mut Worker<S, R, E, RV, T>,
    _: &mut H,
    _: &mut H::Hand,
) -> Served<RV> {
    unreachable!("there are no sockets")
}
