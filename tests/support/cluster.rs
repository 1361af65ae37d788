//! The cluster under test: the one of `DEV_TEST_KUBECONFIG`. Without it the tests that need a cluster are left
//! out and say so.

use std::io::Write;
use std::path::PathBuf;

/// The kubeconfig of the cluster under test; `None` (and a line that says what is left out) without one.
pub fn kubeconfig(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("DEV_TEST_KUBECONFIG").map(PathBuf::from);
    if path.is_none() {
        // Not `eprintln!`: the test harness would keep it to itself.
        let line = format!("left out: {test} needs a cluster (./tests/run starts one)\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    path
}
