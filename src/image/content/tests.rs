use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

fn gitignore() -> Filter {
    Filter {
        gitignore: true,
        dockerignore: None,
    }
}

fn digest_of(root: &Path, filter: &Filter) -> Hash {
    hash_entries(&entries(root, root, filter).unwrap())
}

fn names(root: &Path, path: &Path, filter: &Filter) -> Vec<String> {
    entries(root, path, filter)
        .unwrap()
        .into_iter()
        .map(|entry| entry.path.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn ignore_files_of_parents_count_within_a_repository_only() {
    let dir = tempfile::tempdir().unwrap();
    let web = dir.path().join("web");
    write(dir.path(), ".gitignore", "*.log\n");
    write(&web, ".gitignore", "bin/\n");
    write(&web, "a.log", "");
    write(&web, "bin/web", "");
    write(&web, ".hidden", "");
    assert_eq!(
        names(&web, &web, &gitignore()),
        [".gitignore", ".hidden", "a.log"]
    );
    fs::create_dir(dir.path().join(".git")).unwrap();
    assert_eq!(names(&web, &web, &gitignore()), [".gitignore", ".hidden"]);
    let all = names(&web, &web, &Filter::default());
    assert_eq!(all, [".gitignore", ".hidden", "a.log", "bin", "bin/web"]);
}

#[test]
fn docker_exceptions_reach_into_excluded_directories() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "docs/a", "");
    write(dir.path(), "docs/keep/b", "");
    write(dir.path(), "c", "");
    let rules = DockerIgnore::parse("docs\n!docs/keep", Path::new("x")).unwrap();
    let filter = Filter {
        gitignore: false,
        dockerignore: Some(Arc::new(rules)),
    };
    let found = names(dir.path(), dir.path(), &filter);
    assert_eq!(found, ["c", "docs/keep", "docs/keep/b"]);
}

#[test]
fn a_part_of_the_directory_keeps_its_names() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a/b/c", "");
    write(dir.path(), "d", "");
    let found = names(dir.path(), &dir.path().join("a"), &Filter::default());
    assert_eq!(found, ["a", "a/b", "a/b/c"]);
    let found = names(dir.path(), &dir.path().join("a/b/c"), &Filter::default());
    assert_eq!(found, ["a/b/c"]);
}

#[test]
fn a_socket_is_left_out_and_a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
    symlink("/etc", dir.path().join("l")).unwrap();
    assert_eq!(names(dir.path(), dir.path(), &Filter::default()), ["l"]);
}

type Files = BTreeMap<String, (String, u32)>;

fn files() -> impl Strategy<Value = Files> {
    let name = "[a-c]{1,2}(/[a-c]{1,2}){0,2}";
    let file = ("[xy]{0,3}", prop_oneof![Just(0o644u32), Just(0o755)]);
    proptest::collection::btree_map(name, file, 1..6).prop_map(without_clashes)
}

/// A name cannot be both a file and a directory.
fn without_clashes(files: Files) -> Files {
    let names: Vec<String> = files.keys().cloned().collect();
    files
        .into_iter()
        .filter(|(name, _)| {
            !names
                .iter()
                .any(|other| other.starts_with(&format!("{name}/")))
        })
        .collect()
}

fn make(files: &Files) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, (content, mode)) in files {
        write(dir.path(), name, content);
        fs::set_permissions(dir.path().join(name), Permissions::from_mode(*mode)).unwrap();
    }
    dir
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equal_files_have_equal_digests_and_others_do_not(one in files(), two in files()) {
        let (a, b) = (make(&one), make(&two));
        let equal = digest_of(a.path(), &gitignore()) == digest_of(b.path(), &gitignore());
        prop_assert_eq!(equal, one == two);
    }

    #[test]
    fn each_change_changes_the_digest(files in files(), pick in any::<prop::sample::Index>()) {
        let dir = make(&files);
        let root = dir.path();
        let before = digest_of(root, &gitignore());
        let name = files.keys().nth(pick.index(files.len())).unwrap();
        let (content, mode) = &files[name];
        let path = root.join(name);

        fs::write(&path, format!("{content}z")).unwrap();
        prop_assert_ne!(digest_of(root, &gitignore()), before, "content");
        fs::write(&path, content).unwrap();
        prop_assert_eq!(digest_of(root, &gitignore()), before, "back again");

        fs::set_permissions(&path, Permissions::from_mode(mode ^ 0o100)).unwrap();
        prop_assert_ne!(digest_of(root, &gitignore()), before, "mode");
        fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();

        fs::rename(&path, path.with_extension("q")).unwrap();
        prop_assert_ne!(digest_of(root, &gitignore()), before, "name");
        symlink(format!("t{content}"), &path).unwrap();
        fs::remove_file(path.with_extension("q")).unwrap();
        prop_assert_ne!(digest_of(root, &gitignore()), before, "a link in place of the file");
    }

    #[test]
    fn an_ignored_file_changes_nothing(files in files(), content in "[a-z]{0,9}") {
        let dir = make(&files);
        fs::write(dir.path().join(".gitignore"), "*.tmp\nout/\n").unwrap();
        let before = digest_of(dir.path(), &gitignore());
        fs::write(dir.path().join("x.tmp"), &content).unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        fs::write(dir.path().join("out/y"), &content).unwrap();
        prop_assert_eq!(digest_of(dir.path(), &gitignore()), before);
    }
}
