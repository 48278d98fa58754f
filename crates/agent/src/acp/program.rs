//! Where a program is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The file that would be run for `program`, started in `cwd` with the search path `path`; none where there is none that
/// may be run.
pub(super) fn find(program: &str, cwd: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    if program.is_empty() {
        return None;
    }
    if program.contains('/') {
        return Some(cwd.join(program)).filter(|file| is_executable(file));
    }
    std::env::split_paths(path?).map(|folder| cwd.join(folder).join(program)).find(|file| is_executable(file))
}

/// The same program by an absolute path, where it is found by the gateway's own search path; else as it is.
pub(super) fn absolute(program: &str) -> PathBuf {
    let found = find(program, Path::new("/"), std::env::var_os("PATH").as_deref());
    found.unwrap_or_else(|| PathBuf::from(program))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_the_search_path_or_by_its_own() {
        let path = OsStr::new("/nowhere:/bin");
        assert_eq!(find("sh", Path::new("/"), Some(path)), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find("bin/sh", Path::new("/"), None), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find("sh", Path::new("/"), Some(OsStr::new("/nowhere"))), None);
        assert_eq!(find("no-such-program", Path::new("/"), Some(path)), None);
        assert_eq!(find("/etc/passwd", Path::new("/"), Some(path)), None);
        assert_eq!(find("", Path::new("/"), Some(path)), None);
    }
}
