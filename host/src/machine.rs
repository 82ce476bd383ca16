//! What this machine, or the cgroup that the process is in, has to give.

use std::fs;
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Processors that the process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Raises the number of files that the process may have open to what the system lets it: components, connections and
/// partitions have some each, and the soft limit is mostly 1024 for the sake of programs that use `select`.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, the host goes on with what it has.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Bytes of memory: the cgroup's limit where there is one, else the machine's. `None` on systems without `/proc`.
pub fn memory() -> Option<u64> {
    let machine = meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(cgroup_limit().map_or(machine, |limit| limit.min(machine)))
}

/// `memory.max` of the process's cgroup (version 2) and of those around it: the smallest counts.
fn cgroup_limit() -> Option<u64> {
    let path = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = path.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut folder = std::path::Path::new("/sys/fs/cgroup").join(path);
    let mut limit: Option<u64> = None;
    while folder.starts_with("/sys/fs/cgroup") {
        let here = fs::read_to_string(folder.join("memory.max")).ok().and_then(|text| text.trim().parse().ok());
        limit = [limit, here].into_iter().flatten().min();
        folder.pop();
    }
    limit
}

/// The total of `/proc/meminfo`, which is in KiB.
fn meminfo(text: &str) -> Option<u64> {
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(kib.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_total_of_meminfo_is_read_in_bytes() {
        assert_eq!(super::meminfo("MemTotal:       24588432 kB\nMemFree: 1 kB\n"), Some(24_588_432 << 10));
        assert_eq!(super::meminfo("MemFree: 1 kB\n"), None);
    }
}
