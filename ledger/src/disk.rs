//! The few things a store does to its folder. All writing goes through here, so that tests can make any one of them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a store cannot be opened, read or written. Whatever was on disk before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("{}: cannot {what}: {error}; see to the disk, then start again", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The disk is full. Nothing was appended.
    #[error("{}: the disk is full, and nothing was appended; make room, then try again", path.display())]
    Full {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// What is on disk is not what was written there.
    #[error("{}: {what}; the ledger's folder must be made whole before it starts again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The folder is older than what was signed from it.
    #[error(
        "{}: the ledger was rolled back: step {signed} was signed from it, and it is at step {found}; \
         nothing may be signed with its keys before the folder is what it was, or more", path.display()
    )]
    RolledBack {
        /// The folder.
        path: PathBuf,
        /// The step that was signed.
        signed: u64,
        /// The step it is at.
        found: u64,
    },
    /// Another process has it open.
    #[error("{}: another process has this ledger open; stop it first", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// It was opened for reading, or a write failed in a way that leaves open what the disk holds.
    #[error("{}: the ledger cannot be written; open it again", path.display())]
    Closed {
        /// The folder.
        path: PathBuf,
    },
    /// There is no such tile.
    #[error("{path}: the log has no such tile")]
    NoTile {
        /// The tile's path.
        path: String,
    },
}

impl StoreError {
    /// The code to show and to count.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } | Self::Closed { .. } => "E_LEDGER_DISK",
            Self::Full { .. } => "E_LEDGER_FULL",
            Self::Corrupt { .. } => "E_LEDGER_CORRUPT",
            Self::RolledBack { .. } => "E_LEDGER_ROLLBACK",
            Self::Locked { .. } => "E_LEDGER_LOCKED",
            Self::NoTile { .. } => "E_LEDGER_TILE",
        }
    }
}

pub(crate) struct Disk {
    root: PathBuf,
    #[cfg(test)]
    pub fault: fault::Fault,
}

impl Disk {
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.into(),
            #[cfg(test)]
            fault: fault::Fault::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }

    pub fn error(&self, name: &str, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        let path = self.path(name);
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => StoreError::Full { path },
            _ => StoreError::Io { what, path, error },
        }
    }

    /// A file's bytes; none if there is no such file.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(name, "read it")(error)),
        }
    }

    /// Puts a file there whole: after a crash it is the old one or the new one. Its name lasts once the folder is synced.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let new = format!("{name}.new");
        let mut file = File::create(self.path(&new)).map_err(self.error(&new, "create it"))?;
        self.write(&mut file, bytes).map_err(self.error(&new, "write it"))?;
        self.sync(&file).map_err(self.error(&new, "write it through to the disk"))?;
        self.step().and_then(|()| fs::rename(self.path(&new), self.path(name))).map_err(self.error(name, "put it in place"))
    }

    /// [`Disk::put`] for what may be lost with the power: after a kill it is still the old one or the new one.
    pub fn put_unsynced(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let new = format!("{name}.new");
        let mut file = File::create(self.path(&new)).map_err(self.error(&new, "create it"))?;
        self.write(&mut file, bytes).map_err(self.error(&new, "write it"))?;
        self.step().and_then(|()| fs::rename(self.path(&new), self.path(name))).map_err(self.error(name, "put it in place"))
    }

    /// Makes sure that the folder exists, and its parents; says which folders must be synced for it to last.
    pub fn make_folder(&self, name: &str, touched: &mut Vec<String>) -> Result<(), StoreError> {
        if !touched.iter().any(|folder| folder == name) {
            touched.push(name.into());
        }
        if self.path(name).is_dir() {
            return Ok(());
        }
        let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !name.is_empty() {
            self.make_folder(parent, touched)?;
        }
        self.step().and_then(|()| fs::create_dir_all(self.path(name))).map_err(self.error(name, "create it"))
    }

    /// Makes the names in a folder last.
    pub fn sync_folder(&self, name: &str) -> Result<(), StoreError> {
        let done = File::open(self.path(name)).and_then(|folder| self.step().and_then(|()| folder.sync_all()));
        done.map_err(self.error(name, "write it through to the disk"))
    }

    pub fn open(&self, name: &str, options: &OpenOptions) -> Result<File, StoreError> {
        options.open(self.path(name)).map_err(self.error(name, "open it"))
    }

    pub fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Err(error) = self.fault.step() {
            // A disk that fills up, or a process that dies, may leave any part of what it was writing.
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        file.write_all(bytes)
    }

    pub fn sync(&self, file: &File) -> io::Result<()> {
        self.step().and_then(|()| file.sync_data())
    }

    /// In tests, the place where a write may fail.
    pub fn step(&self) -> io::Result<()> {
        #[cfg(test)]
        self.fault.step()?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;
    use std::io;

    /// Lets a number of steps pass and fails from then on.
    #[derive(Default)]
    pub struct Fault {
        left: Cell<Option<u64>>,
    }

    impl Fault {
        pub fn after(&self, steps: u64) {
            self.left.set(Some(steps));
        }

        pub fn never(&self) {
            self.left.set(None);
        }

        pub fn step(&self) -> io::Result<()> {
            match self.left.get() {
                Some(0) => Err(io::ErrorKind::StorageFull.into()),
                Some(left) => {
                    self.left.set(Some(left - 1));
                    Ok(())
                }
                None => Ok(()),
            }
        }
    }
}
