use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use tempfile::TempDir;

use super::*;

const KEY: &str = "0123";

fn cache(folder: &TempDir, key: Option<&str>) -> Cache {
    let settings = CacheSettings { folder: folder.path().join("deep/cache"), key: key.map(CacheKey::new) };
    Cache::open(&settings).expect("a cache")
}

fn keep(cache: &Cache, key: &str, code: &[u8]) -> PathBuf {
    let draft = cache.draft().expect("a draft");
    draft.file().write_all(code).expect("it can be written");
    cache.folder.join(cache.keep(key, draft).expect("an entry").name())
}

fn found(cache: &Cache, key: &str) -> Option<Vec<u8>> {
    let code = cache.find(key)?;
    let mut bytes = Vec::new();
    each_block(code.file(), |block| bytes.extend_from_slice(block)).expect("it can be read");
    Some(bytes)
}

fn files(cache: &Cache) -> usize {
    fs::read_dir(&cache.folder).expect("a folder").count()
}

/// An entry as it was so many days ago.
fn age(path: &Path, days: u64) {
    let file = File::options().append(true).open(path).expect("an entry");
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    file.set_times(FileTimes::new().set_modified(then)).expect("a time");
}

#[test]
fn what_is_kept_is_found_and_what_is_damaged_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(&folder, None);
    assert_eq!(found(&cache, KEY), None);

    let path = keep(&cache, KEY, b"code");
    assert_eq!(found(&cache, KEY).as_deref(), Some(&b"code"[..]));
    assert_eq!(found(&cache, "another"), None);

    for damaged in [&b"cod"[..], b"", b"codes", b"Code"] {
        fs::write(&path, damaged).expect("it can be written");
        assert_eq!(found(&cache, KEY), None, "{damaged:?}");
    }
    keep(&cache, KEY, b"code");
    assert_eq!(found(&cache, KEY).as_deref(), Some(&b"code"[..]));
    assert_eq!(files(&cache), 1, "no draft is left");
}

#[test]
fn code_is_not_taken_for_that_of_another_component() {
    for secret in [None, Some("a secret of the operator's")] {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = cache(&folder, secret);
        let path = keep(&cache, KEY, b"code");
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        fs::copy(&path, path.with_file_name(name.replace(KEY, "4567"))).expect("a copy");
        assert_eq!(found(&cache, "4567"), None);
    }
}

#[test]
fn only_who_has_the_secret_can_seal_an_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs, open) = (cache(&folder, Some("ours")), cache(&folder, Some("theirs")), cache(&folder, None));
    keep(&theirs, KEY, b"theirs");
    keep(&open, KEY, b"anybody's");
    assert_eq!(found(&ours, KEY), None);

    keep(&ours, KEY, b"ours");
    assert_eq!(found(&ours, KEY).as_deref(), Some(&b"ours"[..]), "beside what is not ours");
    assert_eq!(found(&theirs, KEY).as_deref(), Some(&b"theirs"[..]));
    assert_eq!(found(&cache(&folder, Some("ours")), KEY).as_deref(), Some(&b"ours"[..]), "by another host");
    assert!(!format!("{:?}", CacheKey::new("ours")).contains("ours"));
}

#[test]
fn only_files_of_our_own_are_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(&folder, None);
    let path = keep(&cache, KEY, b"code");

    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&path, &elsewhere).expect("it can be moved");
    symlink(&elsewhere, &path).expect("a link");
    assert_eq!(found(&cache, KEY), None, "a link");

    fs::remove_file(&path).expect("it can be removed");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    assert_eq!(found(&cache, KEY), None, "a pipe");

    fs::remove_file(&path).expect("it can be removed");
    fs::create_dir(&path).expect("a folder");
    assert_eq!(found(&cache, KEY), None, "a folder");

    fs::remove_dir(&path).expect("it can be removed");
    fs::rename(&elsewhere, &path).expect("it can be moved");
    assert!(found(&cache, KEY).is_some());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
    assert_eq!(found(&cache, KEY), None, "a file that others may write");
}

#[test]
fn a_folder_that_others_can_reach_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).expect("a mode");
    let settings = CacheSettings { folder: folder.path().to_owned(), key: None };
    let refusal = Cache::open(&settings).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refusal.contains("its mode is 750") && refusal.contains("chmod 700"), "{refusal}");
}

#[test]
fn what_was_not_used_for_a_month_goes_and_what_is_in_use_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(&folder, None);
    let [old, held, used, fresh] = ["old", "held", "used", "fresh"].map(|key| keep(&cache, key, key.as_bytes()));
    [&old, &held, &used].into_iter().for_each(|path| age(path, 31));
    age(&fresh, 29);
    assert!(cache.find("used").is_some());

    let name = held.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    cache.prune(&BTreeSet::from([name]));
    assert!(!old.exists());
    assert!(held.exists() && used.exists() && fresh.exists());
    assert!(
        held.metadata().and_then(|about| about.modified()).expect("a time").elapsed().expect("it was")
            < Duration::from_secs(3600)
    );
}

#[test]
fn of_the_unused_those_that_were_used_last_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = cache(&folder, None);
    // Files with holes: they take no room on the disk.
    let large = |key: &str, days| {
        let path = keep(&cache, key, key.as_bytes());
        File::options().append(true).open(&path).and_then(|file| file.set_len(3 << 29)).expect("a hole");
        age(&path, days);
        path
    };
    let [first, second, third] = [large("first", 3), large("second", 2), large("third", 1)];
    cache.prune(&BTreeSet::new());
    assert!(!first.exists(), "three of 1.5 GiB are more than 4");
    assert!(second.exists() && third.exists());
}

#[test]
fn drafts_of_the_dead_are_removed_and_those_of_the_living_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let living = cache(&folder, None);
    let draft = living.draft().expect("a draft");
    let leftover = living.folder.join(format!("{DRAFT}leftover"));
    fs::write(&leftover, "half of a f").expect("a file");
    drop(cache(&folder, None));
    assert!(!leftover.exists());
    draft.file().write_all(b"code").expect("it can be written");
    living.keep(KEY, draft).expect("it is still there");
    assert!(found(&living, KEY).is_some());
}

#[test]
fn a_folder_that_may_only_be_read_gives_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = keep(&cache(&folder, None), KEY, b"code");
    let within = path.parent().expect("a folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("a mode");
    fs::set_permissions(within, fs::Permissions::from_mode(0o500)).expect("a mode");
    assert_eq!(found(&cache(&folder, None), KEY).as_deref(), Some(&b"code"[..]));
    fs::set_permissions(within, fs::Permissions::from_mode(0o700)).expect("a mode");
}
