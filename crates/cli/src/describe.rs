//! `wick describe`: everything about one thing, and why it is so.
//!
//! Pages are made by pure functions, one for each kind; here is what they are made from.

mod cron_job;
mod job;
mod node;
mod parts;
mod pod;
mod sheet;

pub(crate) use parts::exit;
pub(crate) use pod::{last_end, next_start};

use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::core::v1::{Event, Pod};
use api::pb::wick::v1::{
    CronJobName, EventServiceListRequest, ImageServiceInspectRequest, ObjectFilter, PreviewedSlot,
    ScheduleServiceNextRequest, schedule_service_next_request,
};
use clap::Args;
use tonic::Code;

use crate::clock::{Clock, time};
use crate::failure::{Failure, tell};
use crate::kind::{Kind, targets};
use crate::objects::{self, Object, pods_of};
use crate::output::print;
use crate::screen::Screen;
use crate::session::{Global, Session};

const EXAMPLES: &str = "\
Examples:
  wick describe job hello
  wick describe pod/hello-x7k2p
  wick describe cronjob nightly
  wick describe pods -l job-name=hello
  wick describe node";

/// Says everything about jobs, cronjobs, pods, images or the node, and why it is so
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Describe {
    /// job, cronjob, pod, image or node, with or without names; or KIND/NAME …
    #[arg(required = true, value_name = "KIND [NAME]")]
    what: Vec<String>,

    /// Only what has these labels: a=b, c!=d, e in (f,g), h, !i
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
}

impl Describe {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let targets = targets(&self.what)?;
        if targets.iter().any(|target| target.kind == Kind::Event) {
            return Err(Failure::not_asked("an event has no more to say than its line")
                .hint("wick get events, or describe what it is about"));
        }
        let named = targets.iter().any(|target| !target.names.is_empty());
        if self.selector.is_some() && (named || targets.iter().any(|target| !target.kind.has_namespace())) {
            return Err(Failure::not_asked(
                "only jobs, cronjobs and pods without names are selected by labels",
            ));
        }
        let session = global.connect().await?;
        let mut described = 0;
        let mut all_found = true;
        for target in targets {
            let objects = match target.names.is_empty() {
                true => {
                    let filter = ObjectFilter {
                        namespace: session.namespace.clone(),
                        label_selector: self.selector.clone().unwrap_or_default(),
                        ..ObjectFilter::default()
                    };
                    objects::list(&session.agent, target.kind, filter).await?.into_iter().map(Ok).collect()
                }
                false => {
                    let mut objects = Vec::new();
                    for name in &target.names {
                        objects
                            .push(objects::get(&session.agent, target.kind, &session.namespace, name).await);
                    }
                    objects
                }
            };
            for object in objects {
                match object {
                    Ok(object) => {
                        let page = page(&session, object).await?;
                        print(&if described > 0 { format!("\n\n{page}") } else { page })?;
                        described += 1;
                    }
                    Err(failure @ Failure::Refused(_)) => {
                        failure.tell();
                        all_found = false;
                    }
                    Err(failure) => return Err(failure),
                }
            }
        }
        if described == 0 && all_found {
            tell(&format!("No resources found in {} namespace.", session.namespace));
        }
        if all_found { Ok(()) } else { Err(Failure::Said) }
    }
}

async fn page(session: &Session, object: Object) -> Result<String, Failure> {
    let screen = Screen::stdout();
    Ok(match object {
        Object::Job(ref found) => {
            let (events, pods) = (events(session, &object).await?, job_pods(session, &object).await?);
            job::page(found, &pods, &events, &Clock::read()).page(screen)
        }
        Object::CronJob(ref found) => {
            let jobs = owned_jobs(session, &object).await?;
            let (events, slots) = (events(session, &object).await?, slots(session, &object).await?);
            let due = cron_job::Due { next: &found.next, slots: &slots };
            cron_job::page(&found.cron_job, &due, &jobs, &events, &Clock::read()).page(screen)
        }
        Object::Pod(ref found) => {
            let events = events(session, &object).await?;
            pod::page(found, &events, &Clock::read()).page(screen)
        }
        Object::Image(image) => {
            let name = if image.name.is_empty() { image.digest } else { image.name };
            image_page(session, &name).await?
        }
        Object::Node(found) => node::page(&found, &Clock::read()).page(screen),
        Object::Event(_) => String::new(), // Refused before anybody was asked.
    })
}

/// The page about the image of that name.
pub(crate) async fn image_page(session: &Session, name: &str) -> Result<String, Failure> {
    let request = ImageServiceInspectRequest { name: name.to_owned() };
    match session.agent.images().inspect(request).await {
        Ok(inspected) => Ok(node::image(&inspected.into_inner(), &Clock::read()).page(Screen::stdout())),
        Err(status) if status.code() == Code::NotFound => {
            Err(objects::missing(&session.agent, Kind::Image, &session.namespace, name).await)
        }
        Err(status) => Err(status.into()),
    }
}

/// What was told lately about something that has metadata.
async fn events(session: &Session, object: &Object) -> Result<Vec<Event>, Failure> {
    // By uid too: what happened to an earlier one of the same name is another story.
    let uid = object.meta().map_or("", |meta| &meta.uid);
    let filter = ObjectFilter {
        namespace: object.namespace().to_owned(),
        field_selector: format!(
            "involvedObject.kind={},involvedObject.name={},involvedObject.uid={uid}",
            object.kind().in_manifests(),
            object.name()
        ),
        ..ObjectFilter::default()
    };
    let listed = session.agent.events().list(EventServiceListRequest { filter: Some(filter) }).await?;
    Ok(listed.into_inner().events)
}

/// The slots of a CronJob that come next; none where the agent does not tell.
async fn slots(session: &Session, cron_job: &Object) -> Result<Vec<PreviewedSlot>, Failure> {
    let stored = CronJobName { namespace: cron_job.namespace().to_owned(), name: cron_job.name().to_owned() };
    let request = ScheduleServiceNextRequest {
        of: Some(schedule_service_next_request::Of::Stored(stored)),
        from: None,
        count: cron_job::SLOTS,
    };
    match session.agent.schedules().next(request).await {
        Ok(slots) => Ok(slots.into_inner().slots),
        // Its schedule cannot be read, or it is gone by now: the page says what is known without.
        Err(status)
            if matches!(status.code(), Code::InvalidArgument | Code::NotFound | Code::Unimplemented) =>
        {
            Ok(Vec::new())
        }
        Err(status) => Err(status.into()),
    }
}

/// The Jobs whose controller is `cron_job`, oldest first.
pub(crate) async fn owned_jobs(session: &Session, cron_job: &Object) -> Result<Vec<Job>, Failure> {
    let filter = ObjectFilter { namespace: cron_job.namespace().to_owned(), ..ObjectFilter::default() };
    let listed = objects::list(&session.agent, Kind::Job, filter).await?;
    let uid = cron_job.meta().map_or("", |meta| &meta.uid);
    Ok(owned_by(uid, listed.into_iter().filter_map(Object::job).collect()))
}

/// Those of `jobs` whose controller has that uid, oldest first.
fn owned_by(uid: &str, mut jobs: Vec<Job>) -> Vec<Job> {
    jobs.retain(|job| {
        let owners = job.metadata.as_ref().map(|meta| meta.owner_references.as_slice()).unwrap_or_default();
        owners.iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
    });
    // Of two that were made in the same second, the later slot's has the later name.
    jobs.sort_by_cached_key(|job| {
        let meta = job.metadata.clone().unwrap_or_default();
        (time(meta.creation_timestamp.as_ref()), meta.name)
    });
    jobs
}

/// A Job's Pods, oldest first.
async fn job_pods(session: &Session, job: &Object) -> Result<Vec<Pod>, Failure> {
    let listed = objects::list(&session.agent, Kind::Pod, pods_of(job.namespace(), job.name())).await?;
    let mut pods: Vec<Pod> = listed.into_iter().filter_map(Object::pod).collect();
    sort_by_age(&mut pods);
    Ok(pods)
}

/// Puts Pods in the order in which they were made.
pub(crate) fn sort_by_age(pods: &mut [Pod]) {
    pods.sort_by_cached_key(|pod| {
        let meta = pod.metadata.clone().unwrap_or_default();
        (time(meta.creation_timestamp.as_ref()), started(pod), meta.name)
    });
}

/// When a Pod started; one that has not comes after those that have.
fn started(pod: &Pod) -> (bool, Option<jiff::Timestamp>) {
    let started = pod.status.as_ref().and_then(|status| time(status.start_time.as_ref()));
    (started.is_none(), started)
}
