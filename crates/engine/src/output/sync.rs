//! Waits for a file's bytes to be on the disk.

use std::fs::File;
use std::sync::mpsc;
use std::time::Duration;

use diskferry_block_stream::{Error, Result};

use crate::job::Job;

/// Makes a file's bytes durable, without being deaf to a request to stop: nothing can interrupt
/// the system call itself, and there may be gigabytes to write back.
pub(super) fn sync(file: &File, job: &Job) -> Result<()> {
    let handle = file.try_clone()?;
    let (done, result) = mpsc::channel();
    std::thread::Builder::new().name("ferry-sync".into()).spawn(move || {
        // The receiver is gone when the job was cancelled; nobody needs the answer then.
        let _ = done.send(handle.sync_all());
    })?;
    loop {
        match result.recv_timeout(Duration::from_millis(50)) {
            Ok(synced) => return Ok(synced?),
            Err(mpsc::RecvTimeoutError::Timeout) => job.control.cancel.check()?,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Error::from(std::io::Error::other("the syncing thread ended early")));
            }
        }
    }
}
