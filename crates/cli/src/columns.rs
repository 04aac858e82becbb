//! Which columns the list of each kind has, and what stands in them.
//!
//! kubectl's, but for columns that would be the same for ever on one device (a Pod's IP, nominated node and
//! readiness gates); in their place stands what differs here.

use std::collections::BTreeMap;

use api::pb::k8s::batch::v1::{Job, JobSpec};
use api::pb::k8s::core::v1::{Container, Event, Pod};
use api::pb::wick::v1::{Image, ImageKind, Node};
use jiff::Timestamp;

use crate::age::age;
use crate::clock::time;
use crate::kind::Kind;
use crate::objects::{Object, Scheduled, pairs};
use crate::status;
use crate::table::{Table, size};

/// How many digits of a digest tell images apart in a list.
const SHORT_DIGEST: usize = 12;

/// What is shown for what is not there.
pub(crate) const NONE: &str = "<none>";

/// How much of everything is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown<'a> {
    /// More columns.
    pub(crate) wide: bool,
    /// The namespace, as objects of several are shown.
    pub(crate) namespaces: bool,
    /// The kind before the name, as several kinds are shown.
    pub(crate) kinds: bool,
    /// These labels, each in a column of its own.
    pub(crate) label_columns: &'a [String],
    /// All labels, in one column.
    pub(crate) labels: bool,
}

/// The list of `objects`, all of them of the kind `kind`.
pub(crate) fn table(kind: Kind, objects: &[Object], shown: Shown<'_>, now: Timestamp) -> Table {
    let mut table = Table::new(columns(kind, shown.wide));
    for object in objects {
        table.rows.push(match object {
            Object::Job(object) => job(object, shown.wide, now),
            Object::CronJob(object) => cron_job(object, shown.wide, now),
            Object::Pod(object) => pod(object, shown.wide, now),
            Object::Event(object) => event(object, shown.wide, now),
            Object::Image(object) => image(object, shown.wide, now),
            Object::Node(object) => node(object, shown.wide, now),
        });
    }
    if shown.kinds && table.columns.first().is_some_and(|name| name == "NAME") {
        for row in &mut table.rows {
            row[0] = format!("{}/{}", kind.qualified(), row[0]);
        }
    }
    if shown.namespaces && kind.has_namespace() {
        table.put_first("NAMESPACE", objects.iter().map(|object| object.namespace().to_owned()));
    }
    let nothing = BTreeMap::new();
    let labels = |object: &Object| object.meta().map_or_else(|| nothing.clone(), |meta| meta.labels.clone());
    for label in shown.label_columns {
        // As kubectl has it: `wick.dev/zone` is shown below ZONE.
        let header = label.rsplit('/').next().unwrap_or(label).to_uppercase();
        let cells = objects.iter().map(|object| labels(object).get(label).cloned().unwrap_or_default());
        table.put_last(header, cells);
    }
    if shown.labels {
        table.put_last("LABELS", objects.iter().map(|object| or_none(pairs(&labels(object)).join(","))));
    }
    table
}

fn columns(kind: Kind, wide: bool) -> &'static [&'static str] {
    match (kind, wide) {
        (Kind::Job, false) => &["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"],
        (Kind::Job, true) => {
            &["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
        }
        (Kind::CronJob, false) => {
            &["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "NEXT", "AGE"]
        }
        (Kind::CronJob, true) => &[
            "NAME",
            "SCHEDULE",
            "TIMEZONE",
            "SUSPEND",
            "ACTIVE",
            "LAST SCHEDULE",
            "NEXT",
            "AGE",
            "CONTAINERS",
            "IMAGES",
            "SELECTOR",
        ],
        (Kind::Pod, false) => &["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
        (Kind::Pod, true) => &["NAME", "READY", "STATUS", "RESTARTS", "AGE", "NODE", "IMAGES"],
        (Kind::Event, false) => &["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"],
        (Kind::Event, true) => &[
            "LAST SEEN",
            "TYPE",
            "REASON",
            "OBJECT",
            "SUBOBJECT",
            "SOURCE",
            "MESSAGE",
            "FIRST SEEN",
            "COUNT",
            "NAME",
        ],
        (Kind::Image, _) => &["NAME", "DIGEST", "KIND", "SIZE", "AGE"],
        (Kind::Node, false) => &["NAME", "STATUS", "GUESTS", "WAITING", "AGE", "VERSION"],
        (Kind::Node, true) => &[
            "NAME",
            "STATUS",
            "GUESTS",
            "WAITING",
            "AGE",
            "VERSION",
            "CPU",
            "MEMORY",
            "ARCHITECTURE",
            "RUNTIME",
        ],
    }
}

fn job(job: &Job, wide: bool, now: Timestamp) -> Vec<String> {
    let meta = job.metadata.clone().unwrap_or_default();
    let mut cells = vec![
        meta.name,
        status::job(job).to_owned(),
        status::completions(job),
        status::duration(job, now),
        age(time(meta.creation_timestamp.as_ref()), now),
    ];
    if wide {
        let containers = containers(job.spec.as_deref());
        cells.extend([names(containers), images(containers), selector(job.spec.as_deref())]);
    }
    cells
}

/// The containers of a Job's Pods.
fn containers(job: Option<&JobSpec>) -> &[Container] {
    let template = job.and_then(|spec| spec.template.as_ref()?.spec.as_ref());
    template.map(|spec| spec.containers.as_slice()).unwrap_or_default()
}

fn cron_job(scheduled: &Scheduled, wide: bool, now: Timestamp) -> Vec<String> {
    let cron_job = &scheduled.cron_job;
    let meta = cron_job.metadata.clone().unwrap_or_default();
    let spec = cron_job.spec.clone().unwrap_or_default();
    let status = cron_job.status.clone().unwrap_or_default();
    let last = time(status.last_schedule_time.as_ref());
    let mut cells = vec![
        meta.name,
        spec.schedule.clone(),
        or_none(spec.time_zone.clone().unwrap_or_default()),
        status::truth(spec.suspend.unwrap_or_default()).to_owned(),
        status.active.len().to_string(),
        last.map_or_else(|| NONE.to_owned(), |last| age(Some(last), now)),
        status::next(&scheduled.next, now),
        age(time(meta.creation_timestamp.as_ref()), now),
    ];
    if wide {
        let job = spec.job_template.as_ref().and_then(|template| template.spec.as_deref());
        let containers = containers(job);
        cells.extend([names(containers), images(containers), selector(job)]);
    }
    cells
}

/// A Job's selector, as `-l` takes it.
pub(crate) fn selector(job: Option<&JobSpec>) -> String {
    let selector = job.and_then(|spec| spec.selector.as_ref());
    let Some(selector) = selector else { return NONE.to_owned() };
    let mut terms = pairs(&selector.match_labels);
    for term in &selector.match_expressions {
        let values = term.values.join(",");
        terms.push(match term.operator.as_str() {
            "Exists" => term.key.clone(),
            "DoesNotExist" => format!("!{}", term.key),
            operator => format!("{} {} ({values})", term.key, operator.to_lowercase()),
        });
    }
    if terms.is_empty() { NONE.to_owned() } else { terms.join(",") }
}

fn pod(pod: &Pod, wide: bool, now: Timestamp) -> Vec<String> {
    let meta = pod.metadata.clone().unwrap_or_default();
    let mut cells = vec![
        meta.name,
        status::ready(pod),
        status::pod(pod),
        status::restarts(pod, now),
        age(time(meta.creation_timestamp.as_ref()), now),
    ];
    if wide {
        let spec = pod.spec.as_ref();
        let node = spec.map(|spec| spec.node_name.clone()).unwrap_or_default();
        let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
        cells.extend([or_none(node), images(containers)]);
    }
    cells
}

fn names(containers: &[Container]) -> String {
    or_none(containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>().join(","))
}

fn images(containers: &[Container]) -> String {
    or_none(containers.iter().map(|container| container.image.as_str()).collect::<Vec<_>>().join(","))
}

fn event(event: &Event, wide: bool, now: Timestamp) -> Vec<String> {
    let seen = Seen::of(event);
    let object = event.involved_object.clone().unwrap_or_default();
    let about = format!("{}/{}", object.kind.to_lowercase(), object.name);
    let message = event.message.trim().to_owned();
    let mut cells = vec![age(seen.last, now), event.r#type.clone(), event.reason.clone(), about];
    if wide {
        let name = event.metadata.as_ref().map(|meta| meta.name.clone()).unwrap_or_default();
        cells.extend([
            object.field_path,
            source(event),
            message,
            age(seen.first, now),
            seen.count.to_string(),
            name,
        ]);
    } else {
        cells.push(message);
    }
    cells
}

/// When something happened, and how often.
pub(crate) struct Seen {
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    pub(crate) count: i32,
}

impl Seen {
    /// From whichever of an Event's two generations of fields has it.
    pub(crate) fn of(event: &Event) -> Seen {
        let once = time(event.event_time.as_ref());
        let series = event.series.as_ref();
        let first = time(event.first_timestamp.as_ref()).or(once);
        let last = series.and_then(|series| time(series.last_observed_time.as_ref()));
        Seen {
            first,
            last: last.or_else(|| time(event.last_timestamp.as_ref())).or(first),
            count: series.map_or(event.count, |series| series.count).max(1),
        }
    }
}

/// Who reported an Event.
pub(crate) fn source(event: &Event) -> String {
    let source = event.source.clone().unwrap_or_default();
    let component =
        if source.component.is_empty() { event.reporting_component.clone() } else { source.component };
    if source.host.is_empty() { component } else { format!("{component}, {}", source.host) }
}

fn image(image: &Image, wide: bool, now: Timestamp) -> Vec<String> {
    let digest = match wide {
        true => image.digest.clone(),
        false => image.digest.trim_start_matches("sha256:").chars().take(SHORT_DIGEST).collect(),
    };
    vec![
        or_none(image.name.clone()),
        digest,
        image_kind(image).to_owned(),
        size(image.size_bytes),
        age(time(image.pushed_at.as_ref()), now),
    ]
}

/// What an image's bytes are, in a word.
pub(crate) fn image_kind(image: &Image) -> &'static str {
    match image.kind() {
        ImageKind::Module => "module",
        ImageKind::Component => "component",
        ImageKind::Unspecified => "<unknown>",
    }
}

fn node(node: &Node, wide: bool, now: Timestamp) -> Vec<String> {
    let mut cells = vec![
        node.name.clone(),
        "Ready".to_owned(), // It answered.
        format!("{}/{}", node.guests_running, node.guest_slots),
        node.pods_waiting.to_string(),
        age(time(node.started_at.as_ref()), now),
        node.version.clone(),
    ];
    if wide {
        cells.extend([
            cores(node.allocatable_cpu_millis),
            size(node.allocatable_memory_bytes),
            node.architecture.clone(),
            node.runtime_version.clone(),
        ]);
    }
    cells
}

/// Thousandths of a core as a quantity: `2`, `1500m`.
pub(crate) fn cores(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// The text, or that there is none.
pub(crate) fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ago, noon};
    use crate::samples;
    use crate::screen::Screen;
    use crate::table::Widths;
    use api::pb::k8s::meta::v1::LabelSelector;
    use api::pb::wick::v1::NextSlot;
    use expect_test::{Expect, expect};

    const NARROW: Shown<'static> =
        Shown { wide: false, namespaces: false, kinds: false, label_columns: &[], labels: false };
    const WIDE: Shown<'static> = Shown { wide: true, ..NARROW };

    #[test]
    fn jobs_look_as_kubectl_shows_them() {
        let mut done = samples::job("hello");
        samples::add_condition(&mut done, "Complete", "True", "", "");
        let status = done.status.as_mut().unwrap();
        (status.succeeded, status.completion_time) = (5, ago(40));
        let mut selected = samples::job("nightly-report");
        selected.spec.as_mut().unwrap().make_mut().selector = Some(LabelSelector {
            match_labels: [("batch.kubernetes.io/controller-uid".to_owned(), "1-2".to_owned())].into(),
            ..LabelSelector::default()
        });
        let jobs = [Object::Job(Box::new(done)), Object::Job(Box::new(selected))];
        check(
            Kind::Job,
            &jobs,
            NARROW,
            expect![[r#"
            NAME             STATUS     COMPLETIONS   DURATION   AGE
            hello            Complete   5/5           60s        2m
            nightly-report   Running    0/5           100s       2m
        "#]],
        );
        check(
            Kind::Job,
            &jobs,
            WIDE,
            expect![[r#"
            NAME             STATUS     COMPLETIONS   DURATION   AGE   CONTAINERS       IMAGES             SELECTOR
            hello            Complete   5/5           60s        2m    hello            hello:1            <none>
            nightly-report   Running    0/5           100s       2m    nightly-report   nightly-report:1   batch.kubernetes.io/controller-uid=1-2
        "#]],
        );
        check(
            Kind::Job,
            &jobs,
            Shown { namespaces: true, ..NARROW },
            expect![[r#"
            NAMESPACE   NAME             STATUS     COMPLETIONS   DURATION   AGE
            default     hello            Complete   5/5           60s        2m
            default     nightly-report   Running    0/5           100s       2m
        "#]],
        );
    }

    #[test]
    fn cronjobs_look_as_kubectl_shows_them_with_what_comes_next() {
        let next = |seconds: Option<i64>, none_because: &str| NextSlot {
            slot: seconds.and_then(|seconds| ago(-seconds)),
            start: seconds.and_then(|seconds| ago(-seconds)),
            none_because: none_because.to_owned(),
        };
        let mut due = samples::cron_job("nightly-report", "30 2 * * *");
        due.cron_job.status.as_mut().unwrap().active = vec![Default::default(); 2];
        let mut now = samples::cron_job("hello", "*/5 * * * *");
        let spec = now.cron_job.spec.as_mut().unwrap().make_mut();
        (now.next, spec.time_zone) = (next(Some(0), ""), None);
        let mut rests = samples::cron_job("rests", "@hourly");
        rests.cron_job.spec.as_mut().unwrap().make_mut().suspend = Some(true);
        rests.cron_job.status = None;
        rests.next = next(None, "Suspended");
        let mut mars = samples::cron_job("mars", "@hourly");
        mars.next = next(None, "UnknownTimeZone");
        let mut never = samples::cron_job("never", "0 0 31 2 *");
        never.next = next(None, "Never");
        let all = [due, now, rests, mars, never].map(Object::from);
        check(
            Kind::CronJob,
            &all,
            NARROW,
            expect![[r#"
            NAME             SCHEDULE      TIMEZONE        SUSPEND   ACTIVE   LAST SCHEDULE   NEXT           AGE
            nightly-report   30 2 * * *    Europe/Berlin   False     2        23h             in 4m          2m
            hello            */5 * * * *   <none>          False     0        23h             now            2m
            rests            @hourly       Europe/Berlin   True      0        <none>          suspended      2m
            mars             @hourly       Europe/Berlin   False     0        23h             unknown zone   2m
            never            0 0 31 2 *    Europe/Berlin   False     0        23h             never          2m
        "#]],
        );
        check(
            Kind::CronJob,
            &all[..1],
            WIDE,
            expect![[r#"
            NAME             SCHEDULE     TIMEZONE        SUSPEND   ACTIVE   LAST SCHEDULE   NEXT    AGE   CONTAINERS       IMAGES             SELECTOR
            nightly-report   30 2 * * *   Europe/Berlin   False     2        23h             in 4m   2m    nightly-report   nightly-report:1   <none>
        "#]],
        );
    }

    #[test]
    fn pods_look_as_kubectl_shows_them() {
        let pods = [
            samples::pod("hello-x7k2p", "Running", "run"),
            samples::pod("hello-b2z9q", "Running", "wait:CrashLoopBackOff:3"),
            samples::pod("hello-q4w5e", "Pending", ""),
        ];
        let pods = pods.map(|pod| Object::Pod(Box::new(pod)));
        check(
            Kind::Pod,
            &pods,
            NARROW,
            expect![[r#"
            NAME          READY   STATUS             RESTARTS     AGE
            hello-x7k2p   1/1     Running            0            2m
            hello-b2z9q   0/1     CrashLoopBackOff   3 (5s ago)   2m
            hello-q4w5e   0/0     Pending            0            2m
        "#]],
        );
        check(
            Kind::Pod,
            &pods,
            WIDE,
            expect![[r#"
            NAME          READY   STATUS             RESTARTS     AGE   NODE   IMAGES
            hello-x7k2p   1/1     Running            0            2m    gate   hello:1
            hello-b2z9q   0/1     CrashLoopBackOff   3 (5s ago)   2m    gate   hello:1
            hello-q4w5e   0/0     Pending            0            2m    gate   <none>
        "#]],
        );
    }

    #[test]
    fn events_look_as_kubectl_shows_them() {
        let events = [
            samples::event("Normal", "SuccessfulCreate", "Created pod: hello-x7k2p", 1),
            samples::event(
                "Warning",
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit\nagain",
                4,
            ),
        ];
        let events = events.map(|event| Object::Event(Box::new(event)));
        check(
            Kind::Event,
            &events,
            NARROW,
            expect![[r#"
            LAST SEEN   TYPE      REASON                 OBJECT      MESSAGE
            3s          Normal    SuccessfulCreate       job/hello   Created pod: hello-x7k2p
            3s          Warning   BackoffLimitExceeded   job/hello   Job has reached the specified backoff limit...
        "#]],
        );
        check(
            Kind::Event,
            &events,
            WIDE,
            expect![[r#"
            LAST SEEN   TYPE      REASON                 OBJECT      SUBOBJECT   SOURCE           MESSAGE                                          FIRST SEEN   COUNT   NAME
            3s          Normal    SuccessfulCreate       job/hello               job-controller   Created pod: hello-x7k2p                         3s           1       hello.SuccessfulCreate
            3s          Warning   BackoffLimitExceeded   job/hello               job-controller   Job has reached the specified backoff limit...   33s          4       hello.BackoffLimitExceeded
        "#]],
        );
    }

    #[test]
    fn an_image_is_told_apart_by_twelve_digits() {
        let image = Image {
            name: "hello:latest".to_owned(),
            digest: format!("sha256:{}", "0123456789abcdef".repeat(4)),
            size_bytes: 69_632,
            kind: ImageKind::Module.into(),
            pushed_at: ago(4000),
        };
        let nameless = Image { name: String::new(), kind: ImageKind::Component.into(), ..image.clone() };
        let images = [Object::Image(image), Object::Image(nameless)];
        check(
            Kind::Image,
            &images,
            NARROW,
            expect![[r#"
            NAME           DIGEST         KIND        SIZE    AGE
            hello:latest   0123456789ab   module      68KiB   66m
            <none>         0123456789ab   component   68KiB   66m
        "#]],
        );
        check(
            Kind::Image,
            &images,
            WIDE,
            expect![[r#"
            NAME           DIGEST                                                                    KIND        SIZE    AGE
            hello:latest   sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef   module      68KiB   66m
            <none>         sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef   component   68KiB   66m
        "#]],
        );
    }

    #[test]
    fn a_node_says_how_full_it_is() {
        let node = Node {
            name: "gate".to_owned(),
            version: "0.1.0".to_owned(),
            runtime_version: "wasmtime 48.0.8".to_owned(),
            started_at: ago(90_000),
            guest_slots: 1000,
            guests_running: 4,
            pods_waiting: 2,
            allocatable_cpu_millis: 1500,
            allocatable_memory_bytes: 1 << 30,
            architecture: "x86_64".to_owned(),
            ..Node::default()
        };
        let nodes = [Object::Node(Box::new(node))];
        check(
            Kind::Node,
            &nodes,
            NARROW,
            expect![[r#"
            NAME   STATUS   GUESTS   WAITING   AGE   VERSION
            gate   Ready    4/1000   2         25h   0.1.0
        "#]],
        );
        check(
            Kind::Node,
            &nodes,
            WIDE,
            expect![[r#"
            NAME   STATUS   GUESTS   WAITING   AGE   VERSION   CPU     MEMORY   ARCHITECTURE   RUNTIME
            gate   Ready    4/1000   2         25h   0.1.0     1500m   1.0GiB   x86_64         wasmtime 48.0.8
        "#]],
        );
    }

    #[test]
    fn labels_are_columns_where_they_are_asked_for() {
        let mut job = samples::job("hello");
        let labels = [("app", "greeter"), ("wick.dev/zone", "hall")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        job.metadata.as_mut().unwrap().labels = labels.into();
        let jobs = [Object::Job(Box::new(job)), Object::Job(Box::new(samples::job("other")))];
        let columns = ["wick.dev/zone".to_owned()];
        let shown = Shown { label_columns: &columns, labels: true, ..NARROW };
        check(
            Kind::Job,
            &jobs,
            shown,
            expect![[r#"
            NAME    STATUS    COMPLETIONS   DURATION   AGE   ZONE   LABELS
            hello   Running   0/5           100s       2m    hall   app=greeter,wick.dev/zone=hall
            other   Running   0/5           100s       2m           <none>
        "#]],
        );
    }

    fn check(kind: Kind, objects: &[Object], shown: Shown<'_>, wanted: Expect) {
        let table = table(kind, objects, shown, noon().now);
        wanted.assert_eq(&table.text(true, &mut Widths::default(), Screen::PLAIN));
    }
}
