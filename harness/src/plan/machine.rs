//! What this machine must have before nodes are started, besides the programs that a system asks for by itself.
//!
//! Asked when a plan is made and when one is read again, so that what is missing is said before anything is there: the
//! answer is one of bad arguments, and names what the kernel forbids. Finding out means trying it: a process makes
//! a network namespace and ends. Nodes that are known by one address have a namespace each where that is possible; else
//! they share this machine's network, if they can and if the kernel says whose a connection is.

use crate::deploy::can_find_callers;
use crate::exit::Failure;
use crate::system::{System, Wiring};
use faults::netns::{self, Namespaces};
use history::NodeId;

/// Whether this machine has what the nodes of `system` need. Says why they cannot have networks of their own if they need
/// some and have to share one.
///
/// # Errors
/// What is missing, and what to do about it.
pub(super) fn check(system: &dyn System) -> Result<Option<String>, Failure> {
    system.machine()?;
    networks(system.name(), &system.wiring())
}

/// Whether the data folders of this system's nodes can be on disks of ours, or why not.
pub(super) fn disks(system: &dyn System) -> Result<(), String> {
    match system.wiring() {
        Wiring::Pairs => Ok(()),
        // Where there are no namespaces the nodes share a network, and are in nobody's way.
        Wiring::OneAddress { .. } => {
            needs_user_namespace().map_or(Ok(()), |needs| beside_disks(system.name(), needs))
        }
    }
}

fn networks(name: &str, wiring: &Wiring) -> Result<Option<String>, Failure> {
    let Wiring::OneAddress { unshared, .. } = wiring else { return Ok(None) };
    let Err(error) = Namespaces::start(&[NodeId(1)]) else { return Ok(None) };
    let shared = match unshared {
        Some(why) => Err(why.clone()),
        None => can_find_callers(),
    };
    match shared {
        Ok(()) => Ok(Some(error.reason())),
        Err(why) => {
            let needs = netns::NEEDS;
            let (apart, together) = ("need", "nor can they share the network of this machine");
            Err(Failure::usage(format!(
                "the nodes of system `{name}` {apart} {needs}: {error}; {together}: {why}"
            ))
            .hint("`--system reference` needs none"))
        }
    }
}

/// Who is not root enters a user namespace to mount something and another one to have networks, and a process in the
/// one may not enter the other.
fn beside_disks(name: &str, in_user_namespace: bool) -> Result<(), String> {
    if !in_user_namespace {
        return Ok(());
    }
    Err(format!(
        "as another user than root, disk faults and a system in namespaces cannot both be had (system `{name}`)"
    ))
}

/// Whether network namespaces are to be had in a user namespace only; none if they are not to be had.
fn needs_user_namespace() -> Option<bool> {
    let node = NodeId(1);
    let made = Namespaces::start(&[node]).ok()?;
    Some(made.door(node).is_some_and(|door| door.descriptors().0.is_some()))
}

#[cfg(test)]
mod tests {
    use super::{beside_disks, needs_user_namespace, networks};
    use crate::exit::Exit;
    use crate::system::Wiring;
    use faults::netns;
    use nix::fcntl::{OFlag, open};
    use nix::sched::{CloneFlags, unshare};
    use nix::sys::stat::Mode;
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// Set for a copy of this test program that may have no network namespace.
    const FORBIDDEN: &str = "MACHINE_TEST_FORBIDDEN";

    fn wiring(unshared: Option<&str>) -> Wiring {
        let unshared = unshared.map(str::to_owned);
        Wiring::OneAddress { peers: vec![2380], client: 2379, unshared }
    }

    #[test]
    fn disks_and_networks_need_the_same_rights() {
        let why = beside_disks("pond", true).unwrap_err();
        let wanted =
            "as another user than root, disk faults and a system in namespaces cannot both be had";
        assert!(why.starts_with(wanted) && why.contains("`pond`"), "{why}");
        assert_eq!(beside_disks("pond", false), Ok(()));
        if let Err(why) = netns::probe() {
            return writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
        }
        let is_root = nix::unistd::geteuid().is_root();
        assert!(needs_user_namespace().unwrap() || is_root, "only root needs no user namespace");
    }

    #[test]
    fn what_the_kernel_forbids_is_told_as_bad_arguments() {
        if let Err(why) = netns::probe() {
            return writeln!(std::io::stderr().lock(), "skipped: {why}").unwrap();
        }
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        // In a user namespace of its own a process may forbid itself to have any network namespace.
        let files = [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("{user} {user} 1")),
            ("/proc/self/gid_map", format!("{group} {group} 1")),
            ("/proc/sys/user/max_net_namespaces", "0".to_owned()),
        ];
        let forbid = move || {
            unshare(CloneFlags::CLONE_NEWUSER)?;
            for (file, text) in &files {
                let file = open(*file, OFlag::O_WRONLY, Mode::empty())?;
                nix::unistd::write(file, text.as_bytes())?;
            }
            Ok(())
        };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "plan::machine::tests::forbidden", "--ignored", "--nocapture"]);
        command.env(FORBIDDEN, "");
        // SAFETY: system calls only between fork and exec: the texts are there already.
        unsafe { command.pre_exec(forbid) };
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let wanted = "254 the nodes of system `pond` need network namespaces: entering a network namespace is not possible here";
        assert!(said.contains(wanted) && said.contains("run as root, or allow"), "{said}");
        let wanted = "; nor can they share the network of this machine: they name themselves";
        assert!(said.contains(wanted), "{said}");
        let wanted = "shared: entering a network namespace is not possible here (ENOSPC";
        assert!(said.contains(wanted), "{said}");
    }

    /// Not a test but a process of one: says what a plan would say.
    #[test]
    #[ignore = "a program that another test starts"]
    fn forbidden() {
        if std::env::var(FORBIDDEN).is_err() {
            return;
        }
        let failure = networks("pond", &wiring(Some("they name themselves"))).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(networks("pond", &Wiring::Pairs), Ok(None));
        println!("{} {failure}", failure.exit.code());
        println!("shared: {}", networks("pond", &wiring(None)).unwrap().unwrap());
    }
}
