//! CronJobs: created, looked at, changed, run by hand and deleted.

use std::fs;
use std::path::Path;

use expect_test::expect;
use serde_json::{Value, json};
use wick_tests::{Node, PATIENCE_FLAG, manifest, plain, programs};

use super::check;

/// A CronJob that is due at most once a year, so that nothing happens by itself.
fn cron_job(name: &str, schedule: &str) -> Value {
    let job = manifest::job(name, programs::example("wat/by-hand.wat"));
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "labels": {"tier": "edge"}},
        "spec": {"schedule": schedule, "timeZone": "UTC", "jobTemplate": {"spec": job["spec"]}},
    })
}

/// A node with a CronJob of each kind.
fn scheduled() -> Node {
    let node = Node::start();
    node.apply(&cron_job("nightly", "30 2 1 1 *"));
    let mut rests = cron_job("rests", "@yearly");
    rests["spec"]["suspend"] = true.into();
    rests["spec"].as_object_mut().unwrap().remove("timeZone");
    rests["metadata"]["labels"] = json!({});
    node.apply(&rests);
    node.apply(&cron_job("never", "0 0 31 2 *"));
    node
}

#[test]
fn lists_say_when_each_is_due() {
    check(
        &scheduled(),
        &[
            "get cronjobs",
            "get cj rests -o wide",
            "get cj -l tier=edge -o name",
            "get cronjobs --field-selector metadata.name=never --no-headers",
            "get cj,jobs -A",
            "get cronjob/nightly -o jsonpath={.spec.schedule}/{.spec.concurrencyPolicy}",
            "get cronjob nobody",
            "get cj -o custom-columns=NAME:.metadata.name,ZONE:.spec.timeZone --sort-by=.spec.schedule",
        ],
        expect![[r#"
            $ wick get cronjobs
            NAME  SCHEDULE  TIMEZONE  SUSPEND  ACTIVE  LAST SCHEDULE  NEXT  AGE
            never  0 0 31 2 *  UTC  False  0  <none>  never  AGE
            nightly  30 2 1 1 *  UTC  False  0  <none>  in AGE  AGE
            rests  @yearly  <none>  True  0  <none>  suspended  AGE

            $ wick get cj rests -o wide
            NAME  SCHEDULE  TIMEZONE  SUSPEND  ACTIVE  LAST SCHEDULE  NEXT  AGE  CONTAINERS  IMAGES  SELECTOR
            rests  @yearly  <none>  True  0  <none>  suspended  AGE  main  by-hand@sha256:DIGEST  <none>

            $ wick get cj -l tier=edge -o name
            cronjob.batch/never
            cronjob.batch/nightly

            $ wick get cronjobs --field-selector metadata.name=never --no-headers
            never  0 0 31 2 *  UTC  False  0  <none>  never  AGE

            $ wick get cj,jobs -A
            NAMESPACE  NAME  SCHEDULE  TIMEZONE  SUSPEND  ACTIVE  LAST SCHEDULE  NEXT  AGE
            default  cronjob.batch/never  0 0 31 2 *  UTC  False  0  <none>  never  AGE
            default  cronjob.batch/nightly  30 2 1 1 *  UTC  False  0  <none>  in AGE  AGE
            default  cronjob.batch/rests  @yearly  <none>  True  0  <none>  suspended  AGE

            $ wick get cronjob/nightly -o jsonpath={.spec.schedule}/{.spec.concurrencyPolicy}
            30 2 1 1 */Allow

            $ wick get cronjob nobody
            error: no cronjob named `nobody` in namespace default
            hint: cronjobs in namespace default: `never`, `nightly`, `rests`
            exit 1

            $ wick get cj -o custom-columns=NAME:.metadata.name,ZONE:.spec.timeZone --sort-by=.spec.schedule
            NAME  ZONE
            never  UTC
            nightly  UTC
            rests  <none>
        "#]],
    );
}

#[test]
fn a_description_has_the_next_slots_and_what_annotations_mean() {
    let node = scheduled();
    let mut special = cron_job("special", "@yearly");
    special["metadata"]["annotations"] = json!({
        "wick.dev/dst": "RunOnce",
        "wick.dev/catch-up": "All",
        "wick.dev/catch-up-limit": "10",
    });
    node.apply(&special);
    check(
        &node,
        &["describe cronjob special", "describe cj/rests", "describe cronjob nobody"],
        expect![[r#"
            $ wick describe cronjob special
            Name:  special
            Namespace:  default
            Labels:  tier=edge
            Annotations:  wick.dev/catch-up: All
                                           wick.dev/catch-up-limit: 10
                                           wick.dev/dst: RunOnce
            Schedule:  @yearly
            Concurrency Policy:  Allow
            Suspend:  False
            Time Zone:  UTC
            Clock Changes:  RunOnce (a slot that is left out is made up for, one that comes twice starts one Job)
            Missed Slots:  All (each starts a Job, the latest 10 at most)
            Successful Job History Limit:  3
            Failed Job History Limit:  1
            Starting Deadline Seconds:  <unset>
            Selector:  <unset>
            Parallelism:  <unset>
            Completions:  <unset>
            Pod Template:
              Labels:  <none>
              Annotations:  <none>
              Containers:
                main:
                  Image:  by-hand@sha256:DIGEST
                  Environment:  <none>
                  Mounts:  <none>
              Volumes:  <none>
              Restart Policy:  Never
            Last Schedule Time:  <none>
            Last Successful Time:  <none>
            Next:  TIME (in AGE)
                                           TIME (in AGE)
                                           TIME (in AGE)
            Active Jobs:  <none>
            Jobs:  <none>
            Events:  <none>

            $ wick describe cj/rests
            Name:  rests
            Namespace:  default
            Labels:  <none>
            Annotations:  <none>
            Schedule:  @yearly
            Concurrency Policy:  Allow
            Suspend:  True
            Time Zone:  <unset> (the device's)
            Successful Job History Limit:  3
            Failed Job History Limit:  1
            Starting Deadline Seconds:  <unset>
            Selector:  <unset>
            Parallelism:  <unset>
            Completions:  <unset>
            Pod Template:
              Labels:  <none>
              Annotations:  <none>
              Containers:
                main:
                  Image:  by-hand@sha256:DIGEST
                  Environment:  <none>
                  Mounts:  <none>
              Volumes:  <none>
              Restart Policy:  Never
            Last Schedule Time:  <none>
            Last Successful Time:  <none>
            Next:  <none> (it is suspended)
            Active Jobs:  <none>
            Jobs:  <none>
            Events:  <none>

            $ wick describe cronjob nobody
            error: no cronjob named `nobody` in namespace default
            hint: cronjobs in namespace default: `never`, `nightly`, `rests`, `special`
            exit 1
        "#]],
    );
}

#[test]
fn what_is_created_is_there_and_not_twice() {
    let node = Node::start();
    let image = node.write("hello.wat", fs::read(programs::example("wat/by-hand.wat")).unwrap());
    let file = node.write("both.yaml", both(&image));
    let (file, image) = (file.to_str().unwrap(), image.to_str().unwrap());
    check(
        &node,
        &[
            "create cronjob hourly --image by-hand:latest --schedule @hourly --tz Asia/Seoul -- by-hand --quick",
            "create cj hourly --image by-hand:latest --schedule @hourly",
            "create cj wrong --image by-hand:latest --schedule 61",
            "create cj wrong --image by-hand:latest --schedule @hourly --tz Europe/berlin",
            "create cj other --image by-hand:latest --schedule @hourly --dry-run=server",
            "create cj other --image by-hand:latest --schedule @hourly --dry-run=client -o yaml",
            &format!("create job hello --image {image} -o name"),
            &format!("create -f {file}"),
            &format!("create -f {file} --dry-run=client"),
            &format!("apply -f {file}"),
            "get cj,jobs -o name",
            "create",
        ],
        expect![[r#"
            $ wick create cronjob hourly --image by-hand:latest --schedule @hourly --tz Asia/Seoul -- by-hand --quick
            cronjob.batch/hourly created

            $ wick create cj hourly --image by-hand:latest --schedule @hourly
            error: cronjobs.batch `hourly` already exists
            hint: wick apply changes what is there
            exit 1

            $ wick create cj wrong --image by-hand:latest --schedule 61
            error: cronjob.batch/wrong: CronJob `wrong` is invalid
              spec.schedule: 1 fields; Kubernetes cron has 5 (minute hour day month weekday)
            exit 1

            $ wick create cj wrong --image by-hand:latest --schedule @hourly --tz Europe/berlin
            error: cronjob.batch/wrong: CronJob `wrong` is invalid
              spec.timeZone: `Europe/berlin` is no time zone this device knows; did you mean `Europe/Berlin`?
            exit 1

            $ wick create cj other --image by-hand:latest --schedule @hourly --dry-run=server
            cronjob.batch/other created (server dry run)

            $ wick create cj other --image by-hand:latest --schedule @hourly --dry-run=client -o yaml
            apiVersion: batch/v1
            kind: CronJob
            metadata:
              name: other
              namespace: default
            spec:
              schedule: "@hourly"
              jobTemplate:
                spec:
                  template:
                    spec:
                      containers:
                      - name: other
                        image: by-hand:latest
                      restartPolicy: OnFailure

            $ wick create job hello --image DIR/hello.wat -o name
            job.batch/hello

            $ wick create -f DIR/both.yaml
            cronjob.batch/nightly created
            job.batch/slow created

            $ wick create -f DIR/both.yaml --dry-run=client
            cronjob.batch/nightly created (dry run)
            job.batch/slow created (dry run)

            $ wick apply -f DIR/both.yaml
            cronjob.batch/nightly unchanged
            job.batch/slow unchanged

            $ wick get cj,jobs -o name
            cronjob.batch/hourly
            cronjob.batch/nightly
            job.batch/hello
            job.batch/slow

            $ wick create
            error: nothing to create is given
            hint: for instance: wick create -f job.yaml, or wick create job NAME --from cronjob/X
            exit 2
        "#]],
    );
}

fn both(image: &Path) -> String {
    format!("{}\n---\n{}\n", cron_job("nightly", "@yearly"), manifest::job("slow", image))
}

#[test]
fn a_run_by_hand_is_a_job_of_its_cronjob() {
    let node = scheduled();
    let wait = format!("wait --for=condition=complete job/slow --timeout {PATIENCE_FLAG}");
    check(
        &node,
        &[
            "logs cronjob/nightly",
            "create job slow --from=cronjob/nightly --env MODE=dry --arg=-v --fuel 5M --dry-run=server",
            "create job slow --from=cronjob/nightly --env MODE=dry --arg=-v --fuel 5M",
            &wait,
            "create job slow --from=cronjob/nightly",
            "create job --from=cj/rests --dry-run=client -o jsonpath={.metadata}",
            "create job other --from=cj/nobody",
            "create job other --from=cj/nightly --container nginx",
            "logs cronjob/nightly",
            "get jobs -o custom-columns=NAME:.metadata.name,OWNER:.metadata.ownerReferences[*].name",
            "get job slow -o jsonpath={.metadata.annotations}",
        ],
        expect![[r#"
            $ wick logs cronjob/nightly
            error: cronjob `nightly` has no Jobs now
            hint: wick describe cronjob nightly says when it starts one
            exit 1

            $ wick create job slow --from=cronjob/nightly --env MODE=dry --arg=-v --fuel 5M --dry-run=server
            job.batch/slow created (server dry run)

            $ wick create job slow --from=cronjob/nightly --env MODE=dry --arg=-v --fuel 5M
            job.batch/slow created

            $ wick wait --for=condition=complete job/slow --timeout 60s
            job.batch/slow condition met

            $ wick create job slow --from=cronjob/nightly
            error: jobs.batch `slow` already exists
            hint: without a name the Job gets one of its own
            exit 1

            $ wick create job --from=cj/rests --dry-run=client -o jsonpath={.metadata}
            {"generateName":"rests-","namespace":"default","annotations":{"cronjob.kubernetes.io/instantiate":"manual"},"ownerReferences":[{"apiVersion":"batch/v1","kind":"CronJob","name":"rests","uid":"UID","controller":true}]}

            $ wick create job other --from=cj/nobody
            error: no cronjob named `nobody` in namespace default
            hint: cronjobs in namespace default: `never`, `nightly`, `rests`
            exit 1

            $ wick create job other --from=cj/nightly --container nginx
            error: job.batch/other: the manual run is invalid
              overrides.container: `nginx` does not exist; the template's containers are `main`
            exit 1

            $ wick logs cronjob/nightly
            hello from a .wat by hand

            $ wick get jobs -o custom-columns=NAME:.metadata.name,OWNER:.metadata.ownerReferences[*].name
            NAME  OWNER
            slow  nightly

            $ wick get job slow -o jsonpath={.metadata.annotations}
            {"cronjob.kubernetes.io/instantiate":"manual","wick.dev/overrides":"{\"env\":{\"MODE\":\"dry\"},\"args\":[\"-v\"],\"fuel\":5000000}"}
        "#]],
    );
    let page = node.done(&["describe", "job", "slow"]);
    let page = plain(&page, &[]);
    let begin = page.find("Controlled").unwrap();
    expect![[r#"
        Controlled By:  CronJob/nightly
        Manual Run:  env: MODE=dry
                          args: -v
                          fuel: VERSION
    "#]]
    .assert_eq(&page[begin..page.find("Parallelism").unwrap()]);
}

#[test]
fn a_cronjob_rests_changes_and_goes() {
    let node = scheduled();
    let wait = format!("wait --for=delete cronjob/nightly --timeout {PATIENCE_FLAG}");
    check(
        &node,
        &[
            "suspend cronjob nightly rests",
            "get cj nightly -o jsonpath={.spec.suspend}",
            "resume cronjob/nightly",
            "label cj nightly tier=core",
            "label cj nightly tier=core --overwrite",
            "annotate cronjob nightly wick.dev/jitter=soon",
            "annotate cronjob nightly wick.dev/catch-up=None",
            r#"patch cj nightly -p {"spec":{"schedule":"@weekly"}}"#,
            r#"patch cj nightly -p {"spec":{"schedule":"@weekly"}} --dry-run=client"#,
            r#"patch cj nightly -p {"spec":{"schedule":"61"}}"#,
            r#"patch cj nightly --type=merge -p {"spec":{"timeZone":"local"}}"#,
            "scale cj nightly --replicas 2",
            "wait --for=jsonpath={.spec.schedule}=@weekly cronjob/nightly",
            "wait --for=jsonpath={.status.lastScheduleTime} cronjob/nightly --timeout 0",
            "delete cronjob nightly",
            &wait,
            "delete cj --all --cascade=foreground",
            "delete cj nightly --ignore-not-found",
            "get cj",
        ],
        expect![[r#"
            $ wick suspend cronjob nightly rests
            cronjob.batch/nightly suspended
            cronjob.batch/rests suspended (no change)

            $ wick get cj nightly -o jsonpath={.spec.suspend}
            true

            $ wick resume cronjob/nightly
            cronjob.batch/nightly resumed

            $ wick label cj nightly tier=core
            error: cronjob.batch/nightly: `tier` is `edge` already
            hint: --overwrite changes it
            exit 1

            $ wick label cj nightly tier=core --overwrite
            cronjob.batch/nightly labeled

            $ wick annotate cronjob nightly wick.dev/jitter=soon
            error: cronjob.batch/nightly: CronJob `nightly` is invalid
              metadata.annotations[wick.dev/jitter]: `soon` must be a duration such as `AGE`, `AGE` or `AGE`, in units of h, m, s and ms
            exit 1

            $ wick annotate cronjob nightly wick.dev/catch-up=None
            cronjob.batch/nightly annotated

            $ wick patch cj nightly -p {"spec":{"schedule":"@weekly"}}
            cronjob.batch/nightly patched

            $ wick patch cj nightly -p {"spec":{"schedule":"@weekly"}} --dry-run=client
            cronjob.batch/nightly patched (no change) (dry run)

            $ wick patch cj nightly -p {"spec":{"schedule":"61"}}
            error: cronjob.batch/nightly: CronJob `nightly` is invalid
              spec.schedule: 1 fields; Kubernetes cron has 5 (minute hour day month weekday)
            exit 1

            $ wick patch cj nightly --type=merge -p {"spec":{"timeZone":"local"}}
            error: cronjob.batch/nightly: the change is invalid
              spec.timeZone: `local` is no name of a zone; leave it out for the device's
            exit 1

            $ wick scale cj nightly --replicas 2
            error: cronjobs cannot be scaled
            hint: jobs can, for instance: job/hello
            exit 2

            $ wick wait --for=jsonpath={.spec.schedule}=@weekly cronjob/nightly
            cronjob.batch/nightly condition met

            $ wick wait --for=jsonpath={.status.lastScheduleTime} cronjob/nightly --timeout 0
            error: timed out waiting for the condition on cronjobs/nightly
            exit 1

            $ wick delete cronjob nightly
            cronjob.batch "nightly" deleted

            $ wick wait --for=delete cronjob/nightly --timeout 60s
            cronjob.batch/nightly condition met

            $ wick delete cj --all --cascade=foreground
            cronjob.batch "never" deleted
            cronjob.batch "rests" deleted

            $ wick delete cj nightly --ignore-not-found

            $ wick get cj
            No resources found in default namespace.
        "#]],
    );
}

#[test]
fn jobs_go_with_their_cronjob_unless_they_are_to_stay() {
    let node = scheduled();
    let wait = format!("wait --for=condition=complete jobs --all --timeout {PATIENCE_FLAG}");
    check(
        &node,
        &[
            "create job slow --from=cronjob/nightly",
            "create job slow-0 --from=cronjob/never",
            &wait,
            "delete cronjob never --cascade=orphan",
            "delete cronjob nightly --cascade=foreground",
            "get jobs -o custom-columns=NAME:.metadata.name,OWNER:.metadata.ownerReferences",
            "get events --field-selector involvedObject.kind=CronJob",
        ],
        expect![[r#"
            $ wick create job slow --from=cronjob/nightly
            job.batch/slow created

            $ wick create job slow-0 --from=cronjob/never
            job.batch/slow-0 created

            $ wick wait --for=condition=complete jobs --all --timeout 60s
            job.batch/slow condition met
            job.batch/slow-0 condition met

            $ wick delete cronjob never --cascade=orphan
            cronjob.batch "never" deleted

            $ wick delete cronjob nightly --cascade=foreground
            cronjob.batch "nightly" deleted

            $ wick get jobs -o custom-columns=NAME:.metadata.name,OWNER:.metadata.ownerReferences
            NAME  OWNER
            slow-0  <none>

            $ wick get events --field-selector involvedObject.kind=CronJob
            LAST SEEN  TYPE  REASON  OBJECT  MESSAGE
            AGE  Warning  UnexpectedJob  cronjob/nightly  Saw a job that the controller did not create or forgot: slow
            AGE  Warning  UnexpectedJob  cronjob/never  Saw a job that the controller did not create or forgot: slow-0
            AGE  Warning  InvalidSchedule  cronjob/never  the schedule matches no time in the next five years
        "#]],
    );
}

#[test]
fn a_watch_tells_when_each_is_due_from_then_on() {
    let node = scheduled();
    let watch = node.wick_lines(&["get", "cj", "nightly", "-w"]);
    let next = || plain(&watch.next_line(), &[]);
    let mut seen = next() + &next();
    for change in
        [&["suspend", "cj", "nightly"][..], &["resume", "cj", "nightly"], &["delete", "cj", "nightly"]]
    {
        node.done(change);
        seen += &next();
    }
    expect![[r#"
        NAME  SCHEDULE  TIMEZONE  SUSPEND  ACTIVE  LAST SCHEDULE  NEXT  AGE
        nightly  30 2 1 1 *  UTC  False  0  <none>  in AGE  AGE
        nightly  30 2 1 1 *  UTC  True  0  <none>  suspended  AGE
        nightly  30 2 1 1 *  UTC  False  0  <none>  in AGE  AGE
        nightly  30 2 1 1 *  UTC  False  0  <none>  in AGE  AGE
    "#]]
    .assert_eq(&seen);
}
