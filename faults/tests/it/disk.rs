//! The file system under the nodes, verified: the model against an oracle that replays only what was synced, and a real
//! mount against what is written to it.

use faults::Random;
use faults::disk::model::{ROOT, Tree};
use faults::disk::mount::Mount;
use faults::disk::namespace::{Entry, probe};
use faults::disk::{Answer, Image, Order, Promises, Torn};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What may be done to a tree of two directories, `0` and `1`, with files below them.
#[derive(Clone, Copy, Debug)]
enum Action {
    Create(usize, usize),
    Write(u64, u64, u8, usize),
    Resize(u64, u64),
    Rename((usize, usize), (usize, usize)),
    Unlink(usize, usize),
    SyncFile(u64),
    SyncDirectory(usize),
}

fn draw(random: &mut Random) -> Action {
    let mut below = |bound: u64| random.below(bound);
    let pick = |value: u64| usize::try_from(value).unwrap();
    let (directory, name) = (pick(below(2)), pick(below(5)));
    // Inodes are numbered in the order of creation after the root and the two directories.
    let file = 4 + below(8);
    match below(12) {
        0 | 1 => Action::Create(directory, name),
        2..=5 => Action::Write(
            file,
            below(12_000),
            u8::try_from(below(255) + 1).unwrap(),
            pick(below(6000)),
        ),
        6 => Action::Resize(file, below(14_000)),
        7 => Action::Rename((directory, name), (pick(below(2)), pick(below(5)))),
        8 => Action::Unlink(directory, name),
        9 | 10 => Action::SyncFile(file),
        _ => Action::SyncDirectory(directory),
    }
}

/// What was done, in order, and nothing else: every question is answered by doing it again.
#[derive(Default)]
struct Oracle(Vec<Action>);

impl Oracle {
    /// The bytes of a file after the first `upto` actions.
    fn bytes(&self, file: u64, upto: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for action in &self.0[..upto] {
            match *action {
                Action::Write(inode, offset, value, length) if inode == file => {
                    let (from, to) = (offset as usize, offset as usize + length);
                    bytes.resize(bytes.len().max(to), 0);
                    bytes[from..to].fill(value);
                }
                Action::Resize(inode, size) if inode == file => bytes.resize(size as usize, 0),
                _ => {}
            }
        }
        bytes
    }

    /// Which file has which name in either directory after the first `upto` actions.
    fn names(&self, upto: usize) -> [BTreeMap<usize, u64>; 2] {
        let mut names: [BTreeMap<usize, u64>; 2] = Default::default();
        let mut next = 4;
        for action in &self.0[..upto] {
            match *action {
                Action::Create(directory, name) => {
                    names[directory].insert(name, next);
                    next += 1;
                }
                Action::Rename((from, old), (to, new)) => {
                    let file = names[from].remove(&old).unwrap();
                    names[to].insert(new, file);
                }
                Action::Unlink(directory, name) => {
                    names[directory].remove(&name);
                }
                _ => {}
            }
        }
        names
    }

    /// After how many actions either directory was last durable: with the other one, if something went between them.
    fn synced(&self) -> [usize; 2] {
        let mut synced = [0; 2];
        let mut together = false;
        for (place, action) in self.0.iter().enumerate() {
            match *action {
                Action::Rename((from, _), (to, _)) if from != to => together = true,
                Action::SyncDirectory(_) if together => {
                    synced = [place + 1; 2];
                    together = false;
                }
                Action::SyncDirectory(directory) => synced[directory] = place + 1,
                _ => {}
            }
        }
        synced
    }

    /// What a loss of power leaves.
    fn left(&self) -> Image {
        let mut image = Image::default();
        for (directory, upto) in self.synced().into_iter().enumerate() {
            image.directory(directory.to_string());
            for (name, file) in &self.names(upto)[directory] {
                let is_sync =
                    |action: &Action| matches!(action, Action::SyncFile(one) if one == file);
                let last = self.0.iter().rposition(is_sync).map_or(0, |place| place + 1);
                image.file(format!("{directory}/{}", NAMES[*name]), self.bytes(*file, last));
            }
        }
        image
    }
}

/// A tree with the two directories, durable.
fn tree(promises: Promises) -> Tree {
    let mut tree = Tree::new(promises, 1 << 30);
    assert_eq!(tree.make_directory(ROOT, "0", 0o755), Ok(2));
    assert_eq!(tree.make_directory(ROOT, "1", 0o755), Ok(3));
    tree.sync_directory(ROOT).unwrap();
    tree
}

fn act(tree: &mut Tree, action: Action) -> Result<(), Errno> {
    let directory = |number: usize| number as u64 + 2;
    match action {
        Action::Create(at, name) => tree.create(directory(at), NAMES[name], 0o644).map(drop),
        Action::Write(file, offset, value, length) => {
            tree.write(file, offset, &vec![value; length])
        }
        Action::Resize(file, size) => tree.resize(file, size),
        Action::Rename((from, old), (to, new)) => {
            tree.rename((directory(from), NAMES[old]), (directory(to), NAMES[new]))
        }
        Action::Unlink(at, name) => tree.unlink(directory(at), NAMES[name]),
        Action::SyncFile(file) => tree.sync_file(file),
        Action::SyncDirectory(at) => tree.sync_directory(directory(at)),
    }
}

#[test]
fn after_a_loss_there_is_what_was_synced_and_nothing_else() {
    let mut lost = 0;
    for seed in 0..1500 {
        let mut random = Random::new(seed, 1);
        let (mut tree, mut oracle) = (tree(Promises::Posix), Oracle::default());
        for _ in 0..60 {
            let action = draw(&mut random);
            if act(&mut tree, action).is_ok() {
                oracle.0.push(action);
            }
        }
        let (names, all) = (oracle.names(oracle.0.len()), oracle.0.len());
        for (directory, names) in names.iter().enumerate() {
            for (name, file) in names {
                let inode = tree.lookup(directory as u64 + 2, NAMES[*name]).unwrap();
                assert_eq!(inode, *file, "seed {seed}");
                assert_eq!(tree.read(inode, 0, 1 << 20).unwrap(), oracle.bytes(*file, all));
            }
        }
        let left = oracle.left();
        assert_eq!(tree.durable(), left, "seed {seed}: {:#?}", oracle.0);
        let was = tree.lose(Torn::Nothing, &mut random);
        lost += u32::from(was.bytes + was.names > 0);
        assert_eq!(tree.live(), left, "seed {seed}");
        assert_eq!(tree.durable(), left, "seed {seed}");
        assert_eq!(tree.lose(Torn::Nothing, &mut random), Default::default(), "nothing twice");
    }
    assert!(lost > 1200, "{lost} of 1500 had something to lose");
}

/// A file of synced 1s with 2s over all of it that were not synced.
fn half_written() -> Tree {
    let mut tree = tree(Promises::Posix);
    let file = tree.create(2, "a", 0o644).unwrap();
    tree.write(file, 0, &[1; 20_000]).unwrap();
    tree.sync_file(file).unwrap();
    tree.sync_directory(2).unwrap();
    tree.write(file, 0, &[2; 30_000]).unwrap();
    tree
}

#[test]
fn a_torn_write_is_cut_between_sectors_or_pages() {
    for (torn, unit) in [(Torn::Sectors, 512), (Torn::Pages, 4096), (Torn::Subset, 512)] {
        let (mut prefixes, mut sizes) = (0, std::collections::BTreeSet::new());
        for seed in 0..200 {
            let mut tree = half_written();
            let lost = tree.lose(torn, &mut Random::new(seed, 1));
            let bytes = tree.read(4, 0, 1 << 20).unwrap();
            assert!(lost.bytes + lost.torn_bytes == 30_000, "{lost:?}");
            assert!((20_000..=30_000).contains(&bytes.len()));
            for unit in bytes.chunks(unit) {
                let old = unit.iter().filter(|byte| **byte < 2).count();
                // The old end lies within a unit, of which a kept one has what was written last.
                assert!(old == 0 || old == unit.len(), "{torn:?}: {unit:?}");
            }
            let cut = bytes.iter().position(|byte| *byte < 2).unwrap_or(bytes.len());
            prefixes += u32::from(!bytes[cut..].contains(&2));
            sizes.insert(cut);
        }
        let all = torn != Torn::Subset;
        assert_eq!(prefixes == 200, all, "{torn:?}: {prefixes}");
        assert!(sizes.len() >= 5, "{torn:?}: {sizes:?}");
    }
}

#[test]
fn a_sync_that_failed_dropped_what_it_should_have_written() {
    let mut tree = half_written();
    assert!(tree.has_news(4));
    tree.fail_sync(4).unwrap();
    assert!(!tree.has_news(4), "it counts as written");
    tree.sync_file(4).unwrap();
    let left = tree.read(4, 0, 30_000).unwrap();
    assert_eq!(left, [vec![1; 20_000], vec![0; 10_000]].concat());
    tree.lose(Torn::Nothing, &mut Random::new(1, 1));
    assert_eq!(tree.read(4, 0, 30_000).unwrap(), left, "and stays so");
}

#[test]
fn what_some_file_systems_promise_besides() {
    for (promises, kept) in [(Promises::Posix, false), (Promises::Ext4, true)] {
        let mut tree = tree(promises);
        let old = tree.create(2, "a", 0o644).unwrap();
        tree.write(old, 0, b"old").unwrap();
        tree.sync_file(old).unwrap();
        let new = tree.create(2, "b", 0o644).unwrap();
        tree.write(new, 0, b"new").unwrap();
        let named = tree.durable();
        assert_eq!(named != tree_of_two(), kept, "a sync of a file makes its name durable");
        tree.rename((2, "b"), (2, "a")).unwrap();
        tree.sync_directory(2).unwrap();
        tree.lose(Torn::Nothing, &mut Random::new(1, 1));
        let found = tree.lookup(2, "a").unwrap();
        let bytes: &[u8] = if kept { b"new" } else { b"" };
        assert_eq!(tree.read(found, 0, 9).unwrap(), bytes, "the bytes with the rename");
    }
}

#[test]
fn a_sync_keeps_every_name_where_that_is_promised() {
    for (promises, kept) in [(Promises::Posix, false), (Promises::Ext4, true)] {
        for syncs_file in [true, false] {
            let mut tree = Tree::new(promises, 1 << 30);
            let outer = tree.make_directory(ROOT, "outer", 0o755).unwrap();
            let beside = tree.make_directory(outer, "beside", 0o755).unwrap();
            let inner = tree.make_directory(outer, "inner", 0o755).unwrap();
            let file = tree.create(inner, "file", 0o644).unwrap();
            let synced = if syncs_file { tree.sync_file(file) } else { tree.sync_directory(inner) };
            synced.unwrap();
            tree.lose(Torn::Nothing, &mut Random::new(1, 1));
            assert_eq!(tree.lookup(ROOT, "outer").is_ok(), kept);
            assert_eq!(tree.lookup(outer, "inner").is_ok_and(|found| found == inner), kept);
            assert_eq!(tree.lookup(outer, "beside").is_ok_and(|found| found == beside), kept);
        }
    }
}

fn tree_of_two() -> Image {
    let mut image = Image::default();
    for name in ["0", "1"] {
        image.directory(name.to_owned());
    }
    image
}

#[test]
fn a_full_disk_takes_what_has_its_place() {
    let mut tree = Tree::new(Promises::Posix, 3 * 4096);
    let file = tree.create(ROOT, "a", 0o644).unwrap();
    tree.allocate(file, (0, 8192), false).unwrap();
    tree.fill(true);
    assert_eq!(tree.write(file, 8000, &[1; 200]), Err(Errno::ENOSPC));
    assert_eq!(tree.read(file, 8000, 500).unwrap(), [0; 192], "nothing of it was written");
    assert_eq!(tree.write(file, 0, &[1; 8192]), Ok(()));
    tree.resize(file, 4096).unwrap();
    assert_eq!(tree.write(file, 4096, &[1; 10]), Ok(()), "what was given back can be taken");
    tree.fill(false);
    assert_eq!(tree.allocate(file, (4096, 8192), true), Ok(()));
    assert_eq!(tree.attributes(file).unwrap().size, 4106);
    assert_eq!(tree.write(file, 12_288, &[1]), Err(Errno::ENOSPC), "the whole of it is taken");
}

/// A mount, seen by this thread alone, and the line to it.
struct Mounted {
    place: tempfile::TempDir,
    line: BufReader<UnixStream>,
}

impl Mounted {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let mount = Mount::new(place.path(), Promises::Posix, 64 << 20).unwrap();
        let (line, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || mount.serve(theirs).unwrap());
        line.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut mounted = Self { place, line: BufReader::new(line) };
        mounted.hear().unwrap();
        mounted
    }

    fn hear(&mut self) -> Result<Answer, String> {
        let mut text = String::new();
        self.line.read_line(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn tell(&mut self, order: Order) -> Result<Answer, String> {
        writeln!(self.line.get_mut(), "{}", serde_json::to_string(&order).unwrap()).unwrap();
        self.hear()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }
}

/// Runs it on a thread in a mount namespace of its own, or says why that cannot be had.
fn with_mounts(test: impl FnOnce() + Send + 'static) {
    let mut output = std::io::stderr().lock();
    if let Err(why) = probe() {
        return writeln!(output, "skipped: {why}").unwrap();
    }
    if !nix::unistd::geteuid().is_root() {
        return writeln!(output, "skipped: only root mounts from one thread of several").unwrap();
    }
    drop(output);
    let thread = std::thread::spawn(|| {
        Entry::new().enter().unwrap();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn sync(folder: &Path) {
    File::open(folder).unwrap().sync_all().unwrap();
}

#[test]
fn a_mounted_disk_loses_what_was_not_synced_and_a_process_reads_the_rest() {
    with_mounts(|| {
        let mut mounted = Mounted::new();
        let root = mounted.place.path().to_owned();
        fs::create_dir(mounted.path("sub")).unwrap();
        for (name, synced) in [("one", true), ("two", false), ("sub/three", true)] {
            let mut file = File::create(mounted.path(name)).unwrap();
            file.write_all(&[1; 10_000]).unwrap();
            file.sync_data().unwrap();
            file.seek(SeekFrom::Start(4000)).unwrap();
            file.write_all(&[2; 100]).unwrap();
            if synced {
                file.sync_all().unwrap();
            }
        }
        sync(&root);
        fs::rename(mounted.path("one"), mounted.path("renamed")).unwrap();
        File::create(mounted.path("never-named")).unwrap().sync_all().unwrap();
        OpenOptions::new().write(true).open(mounted.path("two")).unwrap().set_len(7).unwrap();
        // A process that dies takes nothing with it: all of it is still there.
        assert_eq!(fs::read(mounted.path("two")).unwrap(), [1; 7]);
        let open = File::open(mounted.path("two")).unwrap();
        let early = mounted.tell(Order::Lose { torn: Torn::Nothing, seed: 1 });
        assert_eq!(early.unwrap_err(), "1 of its files are still open");
        drop(open);
        let answer = mounted.tell(Order::Lose { torn: Torn::Nothing, seed: 1 }).unwrap();
        let image = Image::of(&root).unwrap();
        assert_eq!(answer.digest, Some(image.digest()));
        let mut left = Image::default();
        let mut one = vec![1; 10_000];
        left.file("two".to_owned(), one.clone());
        one[4000..4100].fill(2);
        left.file("one".to_owned(), one);
        left.directory("sub".to_owned());
        assert_eq!(image, left, "the name in `sub` was not synced, nor the rename");
        let lost = answer.lost.unwrap();
        assert_eq!(
            (lost.bytes, lost.names),
            (9993, 4),
            "a cut, a name each, and the old one is back"
        );
        mounted.tell(Order::Keep).unwrap();
    });
}

#[test]
fn a_mounted_disk_fails_fills_slows_and_hangs_as_it_is_told() {
    with_mounts(|| {
        let mut mounted = Mounted::new();
        let mut file = File::create(mounted.path("a")).unwrap();
        sync(mounted.place.path());
        file.write_all(b"before").unwrap();
        file.sync_data().unwrap();
        mounted.tell(Order::FailSync).unwrap();
        file.sync_data().unwrap();
        file.write_all(b" lost").unwrap();
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(Errno::EIO as i32));
        file.sync_data().unwrap();
        assert_eq!(fs::read(mounted.path("a")).unwrap(), b"before\0\0\0\0\0");

        mounted.tell(Order::Fill).unwrap();
        assert_eq!(file.write_all_at(b"BEFORE", 0).ok(), Some(()));
        let full = file.write_all_at(&[1; 9000], 0).unwrap_err();
        assert_eq!(full.raw_os_error(), Some(Errno::ENOSPC as i32));
        mounted.tell(Order::Heal).unwrap();
        file.write_all_at(&[1; 9000], 0).unwrap();

        mounted.tell(Order::Slow { ms: 150 }).unwrap();
        let begin = Instant::now();
        file.sync_data().unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(150));
        mounted.tell(Order::Hang).unwrap();
        let hung = std::thread::spawn(move || {
            file.write_all_at(b"late", 0).unwrap();
            Instant::now()
        });
        while mounted.tell(Order::Look).unwrap().figures.held == 0 {
            std::thread::yield_now();
        }
        let healed = Instant::now();
        let answer = mounted.tell(Order::Heal).unwrap();
        assert!(hung.join().unwrap() >= healed, "it ended before the disk did");
        let figures = answer.figures;
        assert_eq!((figures.failed_syncs, figures.slow_syncs, figures.held), (1, 1, 1));
        assert_eq!((figures.refused, figures.overflowed), (1, 0));
    });
}

#[test]
fn a_process_on_a_hung_disk_can_be_killed() {
    with_mounts(|| {
        let mut mounted = Mounted::new();
        mounted.tell(Order::Hang).unwrap();
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "echo x > \"$0\""])
            .arg(mounted.path("file"))
            .spawn()
            .unwrap();
        while mounted.tell(Order::Look).unwrap().figures.held == 0 {
            std::thread::yield_now();
        }
        assert!(child.try_wait().unwrap().is_none(), "it waits");
        child.kill().unwrap();
        let begin = Instant::now();
        child.wait().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(5));
        mounted.tell(Order::Heal).unwrap();
        assert!(fs::read_dir(mounted.place.path()).unwrap().next().is_none());
    });
}
