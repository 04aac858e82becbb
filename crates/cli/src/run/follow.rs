//! Follows Jobs until none of them changes any more, and prints what their guests write.

use std::time::Duration;

use api::pb::k8s::core::v1::Pod;
use api::pb::wick::v1::ObjectFilter;
use tokio::time::{MissedTickBehavior, interval};

use super::board::Board;
use super::story::{JobKey, Story};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::kind::Kind;
use crate::logs::Logs;
use crate::logs::follow::{Follower, Told};
use crate::objects::{self, Change, Object, Watch, only, pods_of};
use crate::session::Session;

/// How often bars are drawn.
const FRAME: Duration = Duration::from_millis(100);

/// Returns what became of `jobs` once all are finished and all their Pods have been read to the end.
pub(super) async fn follow(session: &Session, jobs: &[JobKey], board: &mut Board) -> Result<Story, Failure> {
    let (of_jobs, of_pods) = filters(jobs);
    let mut job_watch = Watch::begin(&session.agent, Kind::Job, of_jobs).await?;
    let mut story = Story::of(jobs);
    let logs = Logs::following();
    let (mut follower, mut parts) = Follower::new(&logs, &session.agent, false);
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // Jobs are told before their Pods.
    while let Some(change) = job_watch.next().await? {
        if matches!(change, Change::Caught) {
            break;
        }
        if let Some(line) = see_job(&mut story, &change) {
            board.change(&line, false);
        }
    }
    let mut pod_watch = Watch::begin(&session.agent, Kind::Pod, of_pods).await?;
    // What became of the last Job is told after what became of its Pods.
    let mut verdict = None;
    let mut pods_known = false;
    while !(story.is_over() && pods_known && follower.is_idle()) {
        if story.is_over() && !pods_known {
            // The two watches run beside each other: a Job's end may be told before its last Pod's start.
            for job in jobs {
                let filter = pods_of(&job.namespace, &job.name);
                for object in objects::list(&session.agent, Kind::Pod, filter).await? {
                    if let Object::Pod(pod) = object {
                        see_pod(&mut story, &mut follower, board, &pod)?;
                    }
                }
            }
            pods_known = true;
            continue;
        }
        tokio::select! {
            // What was written is printed before anything ends.
            biased;
            Some(part) = parts.recv() => match follower.take(part)? {
                Told::Output(bytes) => board.output(&bytes)?,
                Told::Words(words) => board.say(&words),
            },
            change = pod_watch.next() => match change? {
                Some(Change::Added(Object::Pod(pod)) | Change::Modified(Object::Pod(pod))) => {
                    see_pod(&mut story, &mut follower, board, &pod)?;
                }
                Some(_) => {}
                None => return Err(Failure::not_asked("the agent ended the watch")),
            },
            change = job_watch.next(), if !story.is_over() => {
                let Some(change) = change? else {
                    return Err(Failure::not_asked("the agent ended the watch"));
                };
                match see_job(&mut story, &change) {
                    line if story.is_over() => verdict = line,
                    Some(line) => board.change(&line, false),
                    None => {}
                }
            }
            _ = frames.tick() => board.draw(&story, &Clock::read()),
        }
    }
    if let Some(line) = verdict {
        board.change(&line, false);
    }
    board.end(&story, &Clock::read());
    Ok(story)
}

/// A line if there is something new to say.
fn see_job(story: &mut Story, change: &Change) -> Option<String> {
    match change {
        Change::Added(Object::Job(job)) | Change::Modified(Object::Job(job)) => {
            story.see_job(job, &Clock::read())
        }
        Change::Deleted(Object::Job(job)) => story.see_job_gone(job),
        _ => None,
    }
}

fn see_pod(story: &mut Story, follower: &mut Follower<'_>, board: &Board, pod: &Pod) -> Result<(), Failure> {
    if !story.has(pod) {
        return Ok(());
    }
    if let Some(line) = story.see_pod(pod, &Clock::read()) {
        let failed = pod.status.as_ref().is_some_and(|status| status.phase == "Failed");
        board.change(&line, failed || line.contains(", again "));
    }
    let containers = pod.spec.as_ref().map_or(0, |spec| spec.init_containers.len() + spec.containers.len());
    follower.prefix(story.has_several_pods(), containers > 1);
    follower.see(pod)
}

/// What to watch: one Job and its Pods, or, for several, everything.
fn filters(jobs: &[JobKey]) -> (ObjectFilter, ObjectFilter) {
    match jobs {
        [job] => (only(&job.namespace, &job.name), pods_of(&job.namespace, &job.name)),
        _ => (ObjectFilter::default(), ObjectFilter::default()),
    }
}
