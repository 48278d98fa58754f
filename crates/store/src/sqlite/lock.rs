//! The lock beside the store's file, by which one process alone has the store (invariant 2).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::StoreError;

/// How long the lock is waited for before another gateway is taken to hold it.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Takes the lock file beside the store for as long as the file is held open; a dead process holds nothing.
pub(super) fn take_lock(path: &Path, holder: &str) -> Result<File, StoreError> {
    let lock_path = lock_path(path);
    let failed = |why: std::io::Error| match why.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            StoreError::ReadOnly(format!("`{}`: {why}", lock_path.display()))
        }
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreError::Full(why.to_string())
        }
        _ => StoreError::Open { path: path.to_owned(), why: why.to_string() },
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(failed)?;
    match lock_within(&file, LOCK_PATIENCE) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).ok();
            return Err(StoreError::InUse { path: path.to_owned(), holder: holder.trim().to_owned() });
        }
        Err(TryLockError::Error(why)) => return Err(failed(why)),
    }
    // The text only serves the message to a second gateway; a full disk must not keep the first one from starting.
    let written =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
    if let Err(error) = written {
        tracing::warn!(%error, "the lock file could not be written");
    }
    Ok(file)
}

/// Takes the lock, waiting a little: a child that a killed gateway had just forked holds it until it runs its program.
fn lock_within(file: &File, patience: Duration) -> Result<(), TryLockError> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    path.with_file_name(name)
}
