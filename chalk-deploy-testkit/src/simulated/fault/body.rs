//! Bodies that break off or take their time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chalk_deploy_core::cloud::ByteStream;
use chalk_deploy_core::runtime::Runtime;
use futures::StreamExt as _;

/// The first bytes, and then an error.
pub(super) fn cut(body: ByteStream, after: usize) -> ByteStream {
    futures::stream::unfold((body, Some(after)), |(mut body, left)| async move {
        let left = left?;
        let broken = || io::Error::new(io::ErrorKind::ConnectionReset, "the connection was cut");
        if left == 0 {
            return Some((Err(broken()), (body, None)));
        }
        Some(match body.next().await {
            Some(Ok(mut piece)) => {
                piece.truncate(left);
                let left = left - piece.len();
                (Ok(piece), (body, Some(left)))
            }
            Some(Err(error)) => (Err(error), (body, None)),
            None => (Err(broken()), (body, None)),
        })
    })
    .boxed()
}

/// Every piece after a pause.
pub(super) fn slow(body: ByteStream, pause: Duration, runtime: Arc<dyn Runtime>) -> ByteStream {
    body.then(move |piece| {
        let runtime = runtime.clone();
        async move {
            runtime.sleep(pause).await;
            piece
        }
    })
    .boxed()
}
