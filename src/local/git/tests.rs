use std::fs;

use git2::{IndexAddOption, Signature};

use super::*;

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Repository::init(dir.path()).unwrap();
        Self { dir }
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self) {
        let repo = Repository::open(self.dir.path()).unwrap();
        let mut index = repo.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
        let who = Signature::now("test", "test@example.com").unwrap();
        let parent = repo.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<_> = parent.iter().collect();
        repo.commit(Some("HEAD"), &who, &who, "test", &tree, &parents)
            .unwrap();
    }

    fn git(&self) -> Git {
        Git::discover(self.dir.path()).unwrap().unwrap()
    }

    fn dirty(&self, path: &str) -> bool {
        self.git()
            .differs(&[&self.dir.path().join(path)], Scope::NotIgnored)
            .unwrap()
    }
}

#[test]
fn a_directory_without_git_has_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Git::discover(dir.path()).unwrap().is_none());
}

#[test]
fn a_repository_without_a_commit_has_a_branch_and_nothing_else() {
    let it = Fixture::new();
    it.write("a", "1");
    let state = it.git().state().unwrap();
    assert!(state.branch.is_some());
    assert_eq!(state.commit, None);
    assert!(state.dirty);
    assert_eq!(it.git().tree_id(it.dir.path()), None);
}

#[test]
fn only_the_named_directory_counts() {
    let it = Fixture::new();
    it.write("web/main.go", "1");
    it.write("api/main.go", "1");
    it.commit();
    assert!(!it.dirty("web"));
    it.write("api/main.go", "2");
    assert!(!it.dirty("web"));
    assert!(it.dirty("api"));
    assert!(it.dirty(""));
    it.write("web/new.go", "1");
    assert!(it.dirty("web"));
}

#[test]
fn a_name_with_glob_characters_is_no_pattern() {
    let it = Fixture::new();
    it.write("w[e]b/a", "1");
    it.write("web/a", "1");
    it.commit();
    it.write("web/a", "2");
    assert!(!it.dirty("w[e]b"));
    it.write("w[e]b/a", "2");
    assert!(it.dirty("w[e]b"));
}

#[test]
fn ignored_files_count_only_when_asked() {
    let it = Fixture::new();
    it.write(".gitignore", "bin/\n");
    it.write("web/main.go", "1");
    it.commit();
    it.write("web/bin/web", "1");
    assert!(!it.dirty("web"));
    let web = it.dir.path().join("web");
    assert!(it.git().differs(&[&web], Scope::All).unwrap());
    let inside = web.join("bin/web");
    assert!(it.git().differs(&[&inside], Scope::All).unwrap());
    let tracked = web.join("main.go");
    assert!(!it.git().differs(&[&tracked], Scope::All).unwrap());
}

#[test]
fn the_tree_id_depends_on_content_alone() {
    let it = Fixture::new();
    it.write("web/main.go", "1");
    it.commit();
    let web = it.dir.path().join("web");
    let first = it.git().tree_id(&web).unwrap();
    it.write("other", "1");
    it.commit();
    assert_eq!(it.git().tree_id(&web).unwrap(), first);
    it.write("web/main.go", "2");
    it.commit();
    assert_ne!(it.git().tree_id(&web).unwrap(), first);
    assert_eq!(
        it.git().tree_id(&web.join("main.go")),
        None,
        "a file is no tree"
    );
    assert_ne!(it.git().tree_id(it.dir.path()), None);
}
