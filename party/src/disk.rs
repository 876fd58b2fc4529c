//! Files of a node's state that a crash leaves whole or not there at all.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result as IoResult, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// How the name of a file ends that is not yet in its place, or no longer: who finds one after a crash may take it away.
pub const BESIDE: &str = "new";

/// Writes a file beside the one that is there and puts it in its place; it is readable by this user alone. Returned is the file, behind what was written.
pub(crate) fn replace(path: &Path, parts: &[&[u8]]) -> IoResult<File> {
    let beside = path.with_extension(BESIDE);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let written = parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all());
    written.and_then(|()| std::fs::rename(&beside, path)).inspect_err(|_| drop(wipe(&beside)))?;
    sync_folder(path)?;
    Ok(file)
}

/// Replaces a file, and overwrites what was there: it no longer has a name, but may be on the disk.
pub(crate) fn supersede(path: &Path, parts: &[&[u8]]) -> IoResult<()> {
    let before = unless_missing(OpenOptions::new().write(true).open(path))?;
    replace(path, parts)?;
    before.map_or(Ok(()), |before| overwrite(&before))
}

/// Overwrites a file and removes it, if it is there, as far as the file system lets one overwrite. Under another name, so that a crash in between leaves nothing that would be read;
/// whoever wipes again goes on where this failed.
pub(crate) fn wipe(path: &Path) -> IoResult<()> {
    let (whole, path) = (path, &path.with_extension(BESIDE));
    if whole != path {
        // what an earlier attempt left under that name would only lose it
        wipe(path)?;
        unless_missing(std::fs::rename(whole, path))?;
        sync_folder(path)?;
    }
    let Some(file) = unless_missing(OpenOptions::new().write(true).open(path))? else { return Ok(()) };
    overwrite(&file)?;
    std::fs::remove_file(path)?;
    sync_folder(path)
}

fn overwrite(file: &File) -> IoResult<()> {
    let zeros = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
    file.write_all_at(&zeros, 0)?;
    file.sync_all()
}

fn unless_missing<T>(done: IoResult<T>) -> IoResult<Option<T>> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

fn sync_folder(path: &Path) -> IoResult<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_wiped_without_a_trace() {
        let folder = tempfile::tempdir().expect("a folder");
        let names =
            || std::fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("a file").file_name()).collect::<Vec<_>>();
        let path = folder.path().join("kept");
        replace(&path, &[b"one, longer"]).expect("written");
        let mut file = replace(&path, &[b"two", b"\n"]).expect("replaced");
        file.write_all(b"three\n").expect("behind it");
        assert_eq!(std::fs::read(&path).expect("read"), b"two\nthree\n");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(names(), ["kept"]);
        // what is beside it goes, too, if it cannot be put in its place
        let taken = folder.path().join("taken");
        std::fs::create_dir_all(taken.join("by another")).expect("made");
        assert!(replace(&taken, &[b"one"]).is_err() && !taken.with_extension(BESIDE).exists());
        wipe(&path).expect("wiped");
        assert_eq!(names(), ["taken"]);
    }

    #[test]
    fn what_could_not_be_wiped_is_wiped_once_it_can_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, beside) = (folder.path().join("kept"), folder.path().join("kept").with_extension(BESIDE));
        wipe(&path).expect("there is none");
        // The disk lets one rename what it does not let one overwrite: here, as there is a folder in the place of the file.
        std::fs::create_dir(&path).expect("made");
        (0..3).for_each(|_| assert!(wipe(&path).is_err() && !path.exists() && beside.exists()));
        std::fs::remove_dir(&beside).expect("removed");
        std::fs::write(&beside, b"a share").expect("written");
        let mut open = File::open(&beside).expect("opened");
        wipe(&path).expect("wiped");
        assert!(!beside.exists() && wipe(&path).is_ok());
        let mut left = Vec::new();
        std::io::Read::read_to_end(&mut open, &mut left).expect("read");
        assert_eq!(left, [0; 7], "what was there is overwritten");
    }
}
