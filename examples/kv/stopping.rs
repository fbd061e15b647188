//! The signal by which the parts of the service learn that it is stopping.

use tokio::sync::watch;

/// Holds `true` once the service is stopping.
pub(crate) type Stopping = watch::Receiver<bool>;

/// Waits until the service is stopping.
pub(crate) async fn stopped(mut stopping: Stopping) {
    // An error means that the sender is gone, and so the service is as well.
    let _ = stopping.wait_for(|&stop| stop).await;
}
