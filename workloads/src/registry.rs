//! The list of workloads: a new one is a file of its own and one line here.

use crate::judged::Judged;
use crate::{
    Workload, echo::Echo, grow::Grow, ids::UniqueIds, kv::Kv, register::Register, sums::Sums,
};

const ALL: &[&dyn Workload] = &[
    &Kv,
    &Register,
    &UniqueIds,
    &Echo,
    &Grow::Broadcast,
    &Grow::Set,
    &Sums::Growing,
    &Sums::Signed,
    &Judged::Set,
    &Judged::Counter,
    &Judged::Queue,
    &Judged::Lock,
    &Judged::Append,
    &Judged::PorcupineKv,
];

/// Every workload, in the order in which they are listed.
#[must_use]
pub fn all() -> &'static [&'static dyn Workload] {
    ALL
}

/// The workload called `name`.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Workload> {
    ALL.iter().copied().find(|workload| workload.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Caller, Settings};

    #[test]
    fn every_workload_is_found_by_its_name_only() {
        for workload in all() {
            assert_eq!(by_name(workload.name()).map(|found| found.about()), Some(workload.about()));
        }
        assert!(by_name("kw").is_none());
        assert_eq!(all().iter().filter(|workload| workload.name() == "kv").count(), 1);
    }

    /// What a workload says it issues is exactly what it issues.
    #[test]
    fn generators_issue_the_functions_they_name() {
        let settings = Settings { seed: 1, keys: 3, retire_operations: 300, retire_unknown: 10 };
        for workload in all() {
            let Some(mut generator) = workload.generator(&settings) else { continue };
            let caller = Caller { worker: 1, reads_only: false };
            let mut issued = std::collections::BTreeSet::new();
            for _ in 0..500 {
                let invocation = generator.next(&caller);
                let ok = crate::Completion::Ok(serde_json::json!(3));
                generator.complete(&caller, &invocation, &ok);
                issued.insert(invocation.f);
            }
            assert_eq!(issued, workload.functions().iter().copied().collect());
        }
    }
}
