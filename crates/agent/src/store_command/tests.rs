use api::pb::wick::v1::MetaRecord;
use expect_test::expect;

use super::*;

fn meta(revision: u64) -> StoredRecord {
    let instance_id = "0123456789abcdef0123456789abcdef".to_owned();
    StoredRecord::Meta(MetaRecord {
        revision,
        wall_ms: 7,
        steady_ms: -8,
        instance_id,
        next_ordinal: 9,
        next_ledger_id: 1,
    })
}

/// A data directory with this and nothing else, cleanly stopped.
fn data_dir(dir: &Path, records: &[StoredRecord]) {
    let data_dir = DataDir::lock(dir).unwrap();
    let mut store = SledStore::open(&data_dir, SledOptions::default()).unwrap();
    let mut batch = Batch::new(41, 0);
    for record in records {
        batch.put(record.key(), record.encode());
    }
    store.commit(&batch).unwrap();
    store.close().unwrap();
}

fn records(dir: &Path) -> Vec<StoredRecord> {
    let Copy { store, _scratch } = copy(dir).unwrap();
    let mut records = Vec::new();
    each_record(&store, &mut Vec::new(), |record| {
        records.push(record);
        Ok(())
    })
    .unwrap();
    records
}

#[test]
fn what_is_exported_comes_back_and_reads_like_this() {
    let dir = tempfile::tempdir().unwrap();
    let [from, file, to] = ["from", "file", "to"].map(|name| dir.path().join(name));
    let manifest = "{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: default, uid: u}, spec: {template: \
                    {spec: {restartPolicy: Never, containers: [{name: main, image: x, env: [{name: A, value: b}]}]}}}}";
    let document = api::yaml::read(manifest).unwrap().remove(0);
    let job = api::json::from_node(&document.node).unwrap();
    let job = api::pb::wick::v1::JobRecord {
        job: Some(job),
        pods_created: u64::MAX,
        last_failure_ms: Some(0),
        ordinal: 3,
        ..Default::default()
    };
    let given = vec![StoredRecord::Job(job), meta(41)];
    data_dir(&from, &given);
    assert_eq!(export(&from, Some(&file)).unwrap(), ExitCode::SUCCESS);
    expect![[r#"
        {"export":"wick store export 1","revision":41,"records":2}
        {"record":"Job","object":{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a","namespace":"default","uid":"u"},"spec":{"template":{"spec":{"containers":[{"name":"main","image":"x","env":[{"name":"A","value":"b"}]}],"restartPolicy":"Never"}}}},"control":{"podsCreated":18446744073709551615,"lastFailureMs":0,"ordinal":3}}
        {"record":"Meta","object":null,"control":{"revision":41,"wallMs":7,"steadyMs":-8,"instanceId":"0123456789abcdef0123456789abcdef","nextOrdinal":9,"nextLedgerId":1}}
    "#]].assert_eq(&fs::read_to_string(&file).unwrap());
    import(&to, &file).unwrap();
    assert_eq!(records(&to), given);
    assert_eq!(check(&to).unwrap(), ExitCode::SUCCESS);
    assert!(import(&to, &file).unwrap_err().to_string().ends_with("where none is yet"));
}

#[test]
fn an_export_cut_short_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [from, file, to] = ["from", "file", "to"].map(|name| dir.path().join(name));
    data_dir(&from, &[meta(41)]);
    export(&from, Some(&file)).unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    for cut in [0, 10, whole.find('\n').unwrap() + 1, whole.len() - 3] {
        fs::write(&file, &whole[..cut]).unwrap();
        import(&to, &file).unwrap_err();
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

#[test]
fn a_record_that_is_none_is_a_problem_and_nothing_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    data_dir(path, &[meta(41)]);
    let damage = |key: &str, value: &[u8]| {
        let data_dir = DataDir::lock(path).unwrap();
        let mut store = SledStore::open(&data_dir, SledOptions::default()).unwrap();
        let mut batch = Batch::new(42, 0);
        batch.put(key, value);
        store.commit(&batch).unwrap();
        store.close().unwrap();
    };
    assert_eq!(check(path).unwrap(), ExitCode::SUCCESS);
    damage("j/default/a", b"\xff");
    let before = fs::read(path.join("watermark")).unwrap();
    assert_eq!(check(path).unwrap(), ExitCode::FAILURE);
    assert_eq!(fs::read(path.join("watermark")).unwrap(), before);
}

#[test]
fn a_store_in_use_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let _held = DataDir::lock(dir.path()).unwrap();
    for error in [check(dir.path()).unwrap_err(), move_away(dir.path(), true).unwrap_err()] {
        assert!(format!("{error:#}").contains("is in use by another wickd"), "{error:#}");
    }
}

#[test]
fn what_is_set_aside_is_whole_and_the_next_start_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    data_dir(path, &[meta(41)]);
    fs::create_dir_all(path.join("images")).unwrap();
    fs::write(path.join("images/x"), "bytes").unwrap();
    assert_eq!(move_away(path, false).unwrap(), ExitCode::FAILURE);
    assert!(path.join("store").exists(), "without --yes nothing moves");
    move_away(path, true).unwrap();
    let aside = path.join("set-aside-r41");
    assert_eq!(records(&aside), [meta(41)]);
    assert_eq!(fs::read_to_string(aside.join("images/x")).unwrap(), "bytes");
    let store = SledStore::open(&DataDir::lock(path).unwrap(), SledOptions::default()).unwrap();
    assert_eq!(store.revision(), 0);
}
