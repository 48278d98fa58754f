//! Files that only the gateway's user may read.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The most that is read of such a file; what the gateway writes is far smaller.
const LARGEST: u64 = 64 * 1024;

/// Makes the directory, and those above it, or closes to others the one that is there.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)?;
    close_to_others(path, DIR_MODE)
}

/// The text of the file, without the white space around it; `None` where there is no file. A file that others could
/// read is closed to them.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    close_to_others(path, FILE_MODE)?;
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(Some(text.trim().to_owned()))
}

/// Writes the file whole or not at all, and to the disk: a new text takes the old one's place in one step.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let fresh = dir.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    // One that a dead process of this number left behind is in the way.
    remove(&fresh)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(dir)?.sync_all()
}

/// Removes the file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the file is there and others than its owner may do anything with it.
pub(crate) fn others_may_read(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.permissions().mode() & 0o077 != 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn close_to_others(path: &Path, mode: u32) -> io::Result<()> {
    if !others_may_read(path)? {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), "others could read this; it is closed to them now");
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_private_and_replaces_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/state");
        make_dir(&state).unwrap();
        assert_eq!(mode(&state), 0o700);
        let file = state.join("secret");
        assert_eq!(read(&file).unwrap(), None);
        write(&file, "one\n").unwrap();
        write(&file, "two\n").unwrap();
        assert_eq!(read(&file).unwrap().as_deref(), Some("two"));
        assert_eq!(mode(&file), 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn what_others_could_read_is_closed_to_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "s").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        make_dir(dir.path()).unwrap();
        read(&file).unwrap();
        assert_eq!((mode(dir.path()), mode(&file)), (0o700, 0o600));
    }
}
