//! A Pod in full: its containers, how they are, how they ended before, and when they start again.

use std::time::Duration;

use api::pb::k8s::core::v1::{
    Container, ContainerStateTerminated, ContainerStatus, Event, Pod, PodSpec, PodStatus,
};
use jiff::{SignedDuration, Timestamp};

use super::parts::{self, Condition, PodFacts};
use super::sheet::Sheet;
use crate::age::between;
use crate::clock::{Clock, time};
use crate::columns::{NONE, or_none};

/// The page about `pod`.
pub(crate) fn page(pod: &Pod, events: &[Event], clock: &Clock) -> Sheet {
    let mut sheet = Sheet::default();
    let meta = pod.metadata.clone().unwrap_or_default();
    let nothing = PodSpec::default();
    let spec = pod.spec.as_deref().unwrap_or(&nothing);
    let idle = PodStatus::default();
    let now = pod.status.as_ref().unwrap_or(&idle);

    parts::name(&mut sheet, &meta);
    sheet.some(0, "Priority", spec.priority.map(|priority| priority.to_string()));
    sheet.pair(0, "Node", or_none(spec.node_name.clone()));
    sheet.some(0, "Start Time", time(now.start_time.as_ref()).map(|time| clock.date(time)));
    parts::labels(&mut sheet, 0, &meta);
    match time(meta.deletion_timestamp.as_ref()) {
        // The time is when its grace is over.
        Some(end) if !is_final(now) => {
            sheet.pair(
                0,
                "Status",
                match end > clock.now {
                    true => format!("Terminating (for up to {} more)", between(clock.now, end)),
                    false => format!("Terminating (should have ended {} ago)", between(end, clock.now)),
                },
            );
            let grace = meta.deletion_grace_period_seconds.or(spec.termination_grace_period_seconds);
            sheet.some(0, "Termination Grace Period", grace.map(|seconds| format!("{seconds}s")));
        }
        Some(_) | None => sheet.pair(0, "Status", &now.phase),
    }
    sheet.some(0, "Reason", parts::said(&now.reason));
    sheet.some(0, "Message", parts::said(&now.message));
    parts::controlled_by(&mut sheet, &meta);
    let deadline = spec.active_deadline_seconds;
    sheet.some(0, "Active Deadline Seconds", deadline.map(|seconds| format!("{seconds}s")));
    sheet.some(0, "Waits For", waits_for(pod));
    sheet.some(0, "Next Start", next_start(pod, clock));
    let facts = PodFacts { meta: Some(&meta), node: &spec.node_name };
    let groups = [
        ("Init Containers", &spec.init_containers, &now.init_container_statuses),
        ("Containers", &spec.containers, &now.container_statuses),
    ];
    for (label, containers, statuses) in groups {
        if containers.is_empty() {
            continue;
        }
        sheet.head(0, label);
        for container in containers {
            let status = statuses.iter().find(|status| status.name == container.name);
            container_part(&mut sheet, container, status, &facts, clock);
        }
    }
    let conditions = now.conditions.iter().map(|condition| Condition {
        kind: &condition.r#type,
        status: &condition.status,
        since: condition.last_transition_time.as_ref(),
        reason: &condition.reason,
        message: &condition.message,
    });
    parts::conditions(&mut sheet, conditions, clock);
    parts::volumes(&mut sheet, 0, &spec.volumes);
    sheet.some(0, "QoS Class", parts::said(&now.qos_class));
    sheet.some(0, "Restart Policy", parts::said(&spec.restart_policy));
    parts::events(&mut sheet, events, clock);
    sheet
}

fn container_part(
    sheet: &mut Sheet,
    container: &Container,
    status: Option<&ContainerStatus>,
    facts: &PodFacts<'_>,
    clock: &Clock,
) {
    sheet.head(1, &container.name);
    sheet.some(2, "Container ID", status.and_then(|status| parts::said(&status.container_id)));
    sheet.pair(2, "Image", &container.image);
    sheet.pair(2, "Image ID", status.and_then(|status| parts::said(&status.image_id)).unwrap_or(NONE));
    if let Some(status) = status {
        match &status.state {
            Some(state) => parts::state(sheet, 2, "State", state, clock),
            None => sheet.pair(2, "State", "Waiting"),
        }
        if let Some(last) = &status.last_state {
            parts::state(sheet, 2, "Last State", last, clock);
        }
        sheet.pair(2, "Ready", if status.ready { "True" } else { "False" });
        sheet.pair(2, "Restart Count", status.restart_count.to_string());
    }
    parts::container(sheet, 2, container, facts);
}

fn is_final(status: &PodStatus) -> bool {
    matches!(status.phase.as_str(), "Succeeded" | "Failed")
}

/// How a Pod's containers last ended: those that failed before those that did not, the latest first.
pub(crate) fn last_end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
    let ends = containers.filter_map(|container| {
        let now = container.state.as_ref().and_then(|state| state.terminated.as_deref());
        now.or_else(|| container.last_state.as_ref().and_then(|state| state.terminated.as_deref()))
    });
    ends.max_by_key(|ended| (ended.exit_code != 0, time(ended.finished_at.as_ref())))
}

/// When the first container that backs off starts again: `in 7s`.
pub(crate) fn next_start(pod: &Pod, clock: &Clock) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
    let next = containers.filter_map(restart_at).min()?;
    Some(match next > clock.now {
        true => format!("in {}", between(clock.now, next)),
        false => "now".to_owned(),
    })
}

/// What a Pod that has not started waits for: room on the node, or an image.
pub(crate) fn waits_for(pod: &Pod) -> Option<&str> {
    let status = pod.status.as_ref()?;
    let scheduled = status.conditions.iter().find(|condition| condition.r#type == "PodScheduled");
    if let Some(refused) = scheduled.filter(|condition| condition.status == "False") {
        return parts::said(&refused.message);
    }
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
    let waiting = containers.filter_map(|container| container.state.as_ref()?.waiting.as_ref());
    // What backs off says when it starts again, in a column of its own.
    waiting
        .filter(|waiting| waiting.reason != "CrashLoopBackOff")
        .find_map(|waiting| parts::said(&waiting.message))
}

/// When a container that backs off starts again. Kubernetes' status has no field for it: the delay stands in the
/// message (`back-off 20s restarting …`) and counts from the last end.
fn restart_at(container: &ContainerStatus) -> Option<Timestamp> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    if waiting.reason != "CrashLoopBackOff" {
        return None;
    }
    let ended = time(container.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref())?;
    let delay = waiting.message.strip_prefix("back-off ")?.split(' ').next()?;
    let delay: SignedDuration = delay.parse().ok()?;
    ended.checked_add(Duration::try_from(delay).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ago, noon};
    use crate::samples;
    use crate::screen::Screen;
    use api::pb::k8s::core::v1::{
        ContainerStateWaiting, EmptyDirVolumeSource, EnvVar, EnvVarSource, ObjectFieldSelector,
        ResourceRequirements, Volume, VolumeMount, VolumeSource,
    };
    use expect_test::expect;

    #[test]
    fn a_pod_that_backs_off_says_why_and_until_when() {
        let mut pod = backing_off("back-off 20s restarting failed container=a pod=hello-x7k2p_default");
        let spec = pod.spec.as_mut().unwrap().make_mut();
        let container = &mut spec.containers[0];
        container.args = vec!["--quick".to_owned()];
        container.env = vec![
            EnvVar { name: "MODE".to_owned(), value: "fast".to_owned(), ..EnvVar::default() },
            EnvVar {
                name: "ME".to_owned(),
                value_from: Some(Box::new(EnvVarSource {
                    field_ref: Some(ObjectFieldSelector {
                        field_path: "metadata.labels['job-name']".to_owned(),
                        ..ObjectFieldSelector::default()
                    }),
                    ..EnvVarSource::default()
                })),
                ..EnvVar::default()
            },
        ];
        container.resources = Some(ResourceRequirements {
            limits: [("memory".to_owned(), "32Mi".to_owned()), ("wick.dev/fuel".to_owned(), "1G".to_owned())]
                .into(),
            ..ResourceRequirements::default()
        });
        container.volume_mounts = vec![VolumeMount {
            name: "state".to_owned(),
            mount_path: "/state".to_owned(),
            ..VolumeMount::default()
        }];
        spec.volumes = vec![Volume {
            name: "state".to_owned(),
            volume_source: Some(VolumeSource {
                empty_dir: Some(EmptyDirVolumeSource::default()),
                ..VolumeSource::default()
            }),
        }];
        let mut event = samples::event("Warning", "BackOff", "Back-off restarting failed container a", 4);
        event.involved_object.as_mut().unwrap().field_path = "spec.containers{a}".to_owned();
        expect![[r#"
            Name:            hello-x7k2p
            Namespace:       default
            Node:            gate
            Start Time:      Fri, 20 Nov 2026 14:58:10 +0000
            Labels:          job-name=hello
            Annotations:     <none>
            Status:          Running
            Controlled By:   Job/hello
            Next Start:      in 15s
            Containers:
              a:
                Image:          hello:1
                Image ID:       hello@sha256:0123456789abcdef
                State:          Waiting
                  Reason:         CrashLoopBackOff
                  Message:        back-off 20s restarting failed container=a pod=hello-x7k2p_default
                Last State:     Terminated
                  Reason:         Error
                  Exit Code:      1
                  Started:        Fri, 20 Nov 2026 14:59:45 +0000
                  Finished:       Fri, 20 Nov 2026 14:59:55 +0000
                Ready:          False
                Restart Count:  2
                Args:
                  --quick
                Limits:
                  memory:         32Mi
                  wick.dev/fuel:  1G
                Environment:
                  MODE: fast
                  ME: hello (metadata.labels['job-name'])
                Mounts:
                  /state from state (rw)
            Conditions:      <none>
            Volumes:
              state:
                Type:           EmptyDir (a directory that lives as long as its Pod)
                SizeLimit:      <unset>
            Restart Policy:  OnFailure
            Events:
              Type     Reason   Age               From            Message
              ----     ------   ---               ----            -------
              Warning  BackOff  3s (x4 over 33s)  job-controller  spec.containers{a}: Back-off restarting failed container a
        "#]].assert_eq(&page(&pod, &[event], &noon()).page(Screen::PLAIN));
    }

    #[test]
    fn a_pod_that_is_deleted_says_until_when() {
        let mut pod = samples::pod("hello-x7k2p", "Running", "run");
        let meta = pod.metadata.as_mut().unwrap();
        (meta.deletion_timestamp, meta.deletion_grace_period_seconds) = (ago(-26), Some(30));
        expect![[r#"
            Name:                      hello-x7k2p
            Namespace:                 default
            Node:                      gate
            Start Time:                Fri, 20 Nov 2026 14:58:10 +0000
            Labels:                    job-name=hello
            Annotations:               <none>
            Status:                    Terminating (for up to 26s more)
            Termination Grace Period:  30s
            Controlled By:             Job/hello
            Containers:
              a:
                Image:          hello:1
                Image ID:       hello@sha256:0123456789abcdef
                State:          Running
                  Started:  Fri, 20 Nov 2026 14:58:30 +0000
                Ready:          True
                Restart Count:  0
                Environment:    <none>
                Mounts:         <none>
            Conditions:
              Type   Status  Since  Reason  Message
              ----   ------  -----  ------  -------
              Ready  True    90s
            Volumes:                   <none>
            Restart Policy:            OnFailure
            Events:                    <none>
        "#]]
        .assert_eq(&page(&pod, &[], &noon()).page(Screen::PLAIN));
    }

    #[test]
    fn an_empty_pod_has_a_page_too() {
        expect![[r#"
            Name:
            Namespace:
            Node:         <none>
            Labels:       <none>
            Annotations:  <none>
            Status:
            Conditions:   <none>
            Volumes:      <none>
            Events:       <none>
        "#]]
        .assert_eq(&page(&Pod::default(), &[], &noon()).page(Screen::PLAIN));
    }

    #[test]
    fn a_delay_that_is_over_means_now_and_one_that_is_not_told_means_nothing() {
        assert_eq!(next_start(&backing_off("back-off 3s restarting"), &noon()).as_deref(), Some("now"));
        assert_eq!(
            next_start(&backing_off("back-off 2m40s restarting"), &noon()).as_deref(),
            Some("in 2m35s")
        );
        assert_eq!(next_start(&backing_off("it waits"), &noon()), None);
        assert_eq!(next_start(&samples::pod("a", "Running", "run"), &noon()), None);
    }

    fn backing_off(message: &str) -> Pod {
        let mut pod = samples::pod("hello-x7k2p", "Running", "wait:CrashLoopBackOff:2");
        let status = &mut pod.status.as_mut().unwrap().container_statuses[0];
        status.state.as_mut().unwrap().waiting = Some(ContainerStateWaiting {
            reason: "CrashLoopBackOff".to_owned(),
            message: message.to_owned(),
        });
        pod
    }
}
