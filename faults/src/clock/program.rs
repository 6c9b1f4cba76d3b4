//! Whether a library can be put before libc in a program: known from its file, before anything is started.
//!
//! A program takes a preloaded library only if the system's dynamic linker starts it, and asks libc for the time
//! only if it is linked with libc. A static program does neither. Go programs may do both, and yet ask the
//! kernel themselves; they are known by the section that every Go linker leaves.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// ELF, 64 bits, as the machine's own byte order has it.
const ELF64: [u8; 6] =
    [0x7f, b'E', b'L', b'F', 2, if cfg!(target_endian = "little") { 1 } else { 2 }];
const SEGMENT_DYNAMIC: u32 = 2;
const SEGMENT_INTERPRETER: u32 = 3;
const DYNAMIC_NEEDED: u64 = 1;
const DYNAMIC_STRINGS: u64 = 5;
const SEGMENT_LOAD: u32 = 1;
const SECTION_NAMES_LIMIT_BYTES: usize = 1 << 20;
const GO_SECTION: &[u8] = b".go.buildinfo\0";

/// Whether the program at `path` would ask a preloaded library for the time.
///
/// # Errors
/// Why it would not, as a fragment.
pub fn preloadable(path: &Path) -> Result<(), String> {
    let name = path.display();
    let file = File::open(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let elf = Elf::of(file)
        .ok_or_else(|| format!("{name} is no program of this machine but perhaps a script"))?;
    if elf.segment(SEGMENT_INTERPRETER).is_none() {
        return Err(format!(
            "{name} is linked statically, so nothing can answer in the place of libc"
        ));
    }
    if !elf.needs_libc() {
        return Err(format!("{name} is not linked with glibc"));
    }
    if elf.section_names().is_some_and(|names| contains(&names, GO_SECTION)) {
        return Err(format!(
            "{name} is a Go program, which asks the kernel and not libc for the time"
        ));
    }
    Ok(())
}

/// A program's file; only what is looked at is read, for programs are large.
struct Elf(File);

/// One program header: where it lies in the file and in memory.
#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    offset: usize,
    address: u64,
    size: usize,
}

impl Elf {
    fn of(file: File) -> Option<Self> {
        let elf = Self(file);
        (elf.bytes::<6>(0)? == ELF64).then_some(elf)
    }

    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact_at(&mut bytes, u64::try_from(at).ok()?).ok()?;
        Some(bytes)
    }

    fn number<const N: usize>(&self, at: usize) -> Option<u64> {
        let bytes: [u8; N] = self.bytes(at)?;
        let mut word = [0; 8];
        let place = if cfg!(target_endian = "little") { 0 } else { 8 - N };
        word[place..place + N].copy_from_slice(&bytes);
        Some(u64::from_ne_bytes(word))
    }

    fn place<const N: usize>(&self, at: usize) -> Option<usize> {
        usize::try_from(self.number::<N>(at)?).ok()
    }

    fn segments(&self) -> Vec<Segment> {
        let table = (self.place::<8>(32), self.place::<2>(54), self.place::<2>(56));
        let (Some(start), Some(size), Some(count)) = table else { return Vec::new() };
        let header = |number: usize| {
            let at = start.checked_add(size.checked_mul(number)?)?;
            Some(Segment {
                kind: u32::try_from(self.number::<4>(at)?).ok()?,
                offset: self.place::<8>(at.checked_add(8)?)?,
                address: self.number::<8>(at + 16)?,
                size: self.place::<8>(at + 32)?,
            })
        };
        (0..count).filter_map(header).collect()
    }

    fn segment(&self, kind: u32) -> Option<Segment> {
        self.segments().into_iter().find(|segment| segment.kind == kind)
    }

    /// Whether `libc.so.6` is among the libraries that the dynamic linker is told to load.
    fn needs_libc(&self) -> bool {
        let Some(dynamic) = self.segment(SEGMENT_DYNAMIC) else { return false };
        let entry = |number: usize| {
            let at = dynamic.offset.checked_add(number.checked_mul(16)?)?;
            Some((self.number::<8>(at)?, self.number::<8>(at + 8)?))
        };
        let entries: Vec<(u64, u64)> = (0..dynamic.size / 16).map_while(entry).collect();
        let strings = entries.iter().find(|(tag, _)| *tag == DYNAMIC_STRINGS);
        let Some(strings) = strings.and_then(|(_, address)| self.offset_of(*address)) else {
            return false;
        };
        entries.iter().filter(|(tag, _)| *tag == DYNAMIC_NEEDED).any(|(_, name)| {
            let at = usize::try_from(*name).ok().and_then(|name| strings.checked_add(name));
            at.and_then(|at| self.bytes(at)).is_some_and(|name| name == *b"libc.so.6\0")
        })
    }

    /// Where in the file what is at `address` in memory lies.
    fn offset_of(&self, address: u64) -> Option<usize> {
        let loads = self.segments().into_iter().filter(|segment| segment.kind == SEGMENT_LOAD);
        loads.into_iter().find_map(|load| {
            let within = usize::try_from(address.checked_sub(load.address)?).ok()?;
            (within < load.size).then(|| load.offset.checked_add(within)).flatten()
        })
    }

    /// The bytes that hold the names of all sections, if they are no more than a program has.
    fn section_names(&self) -> Option<Vec<u8>> {
        let (start, size) = (self.place::<8>(40)?, self.place::<2>(58)?);
        let header = start.checked_add(size.checked_mul(self.place::<2>(62)?)?)?;
        let (offset, size) =
            (self.place::<8>(header.checked_add(24)?)?, self.place::<8>(header.checked_add(32)?)?);
        let mut names = vec![0; (size <= SECTION_NAMES_LIMIT_BYTES).then_some(size)?];
        self.0.read_exact_at(&mut names, u64::try_from(offset).ok()?).ok()?;
        Some(names)
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::preloadable;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// Compiles a program that does nothing; none where the compiler cannot do it so.
    fn compiled(folder: &Path, flags: &[&str]) -> Option<PathBuf> {
        let (source, program) = (folder.join("main.c"), folder.join("program"));
        fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compile =
            Command::new(compiler).args(flags).arg("-o").args([&program, &source]).output();
        compile.is_ok_and(|output| output.status.success()).then_some(program)
    }

    #[test]
    fn a_dynamic_program_takes_it() {
        preloadable(Path::new("/proc/self/exe")).unwrap();
    }

    #[test]
    fn what_would_bypass_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(preloadable(&script).unwrap_err().contains("is no program of this machine"));
        assert!(preloadable(&folder.path().join("none")).unwrap_err().contains("cannot be read"));
        match compiled(folder.path(), &["-static"]) {
            Some(program) => {
                assert!(preloadable(&program).unwrap_err().contains("is linked statically"));
            }
            None => eprintln!("skipped: this C compiler links nothing statically"),
        }
    }

    /// Cut off anywhere, or with any header broken, a program is refused or taken, but never a panic.
    #[test]
    fn a_broken_program_is_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let Some(program) = compiled(folder.path(), &[]) else {
            eprintln!("skipped: there is no C compiler");
            return;
        };
        let whole = fs::read(&program).unwrap();
        assert_eq!(preloadable(&program), Ok(()));
        for place in 0..64.min(whole.len()) {
            let mut broken = whole.clone();
            broken[place] = 0xff;
            fs::write(&program, &broken).unwrap();
            let _ = preloadable(&program);
            fs::write(&program, &whole[..place * whole.len() / 64]).unwrap();
            // Far enough behind, only its sections are missing, and those no linker looks at.
            let taken = preloadable(&program);
            assert!(place > 8 || taken.is_err(), "cut at {place}/64");
        }
    }

    #[test]
    fn a_go_program_is_known_by_its_section() {
        let folder = tempfile::tempdir().unwrap();
        let source = "__attribute__((section(\".go.buildinfo\"))) int info = 1;\n\
                      int main(void) { return info; }\n";
        let (file, program) = (folder.path().join("go.c"), folder.path().join("go"));
        fs::write(&file, source).unwrap();
        let compile = Command::new("cc").arg("-o").args([&program, &file]).output();
        if !compile.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: there is no C compiler called cc");
            return;
        }
        assert!(preloadable(&program).unwrap_err().contains("is a Go program"));
    }
}
