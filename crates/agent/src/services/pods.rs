//! PodService: looking at Pods, and at what their containers wrote.

use std::sync::Arc;

use api::pb::k8s::core::v1::{ContainerStatus, Pod, PodSpec};
use api::pb::wick::v1::pod_service_server::PodService;
use api::pb::wick::v1::{
    LogLine, PodServiceDeleteRequest, PodServiceDeleteResponse, PodServiceGetRequest, PodServiceGetResponse,
    PodServiceListRequest, PodServiceListResponse, PodServiceLogsRequest, PodServiceLogsResponse,
    PodServiceWatchRequest, PodServiceWatchResponse, WatchEventType,
};
use engine::{Event, Kind, Object, ObjectKey, Reader, Reply};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::select::Filter;
use super::watch::{Answers, Watched, watch};
use super::{Agent, key, page, status};
use crate::logs::LogReader;

const KIND: &str = "pods";

#[tonic::async_trait]
impl PodService for Agent {
    async fn get(
        &self,
        request: Request<PodServiceGetRequest>,
    ) -> Result<Response<PodServiceGetResponse>, Status> {
        let PodServiceGetRequest { namespace, name } = request.into_inner();
        let pod = self.pod(&key(&namespace, &name)?)?;
        Ok(Response::new(PodServiceGetResponse { pod: Some(Arc::unwrap_or_clone(pod)) }))
    }

    async fn list(
        &self,
        request: Request<PodServiceListRequest>,
    ) -> Result<Response<PodServiceListResponse>, Status> {
        let PodServiceListRequest { filter, limit, continue_token } = request.into_inner();
        let filter = Filter::parse::<Pod>(filter)?;
        let page = page::parse(limit, &continue_token)?;
        let reader = self.reader.clone();
        let listed = move || reader.pods_page(&filter.namespace, &page, |pod| filter.selects(pod));
        let listed = tokio::task::spawn_blocking(listed).await;
        let listed = listed.map_err(|error| Status::internal(format!("cannot list: {error}")))?;
        let (pods, revision, next) = listed.map_err(|error| status::unreadable(&error))?;
        let pods = pods.into_iter().map(Arc::unwrap_or_clone).collect();
        Ok(Response::new(PodServiceListResponse { pods, revision, continue_token: page::token(next) }))
    }

    type WatchStream = Answers<PodServiceWatchResponse>;

    async fn watch(
        &self,
        request: Request<PodServiceWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let PodServiceWatchRequest { filter, since_revision } = request.into_inner();
        watch::<Pod>(self, filter, since_revision)
    }

    async fn delete(
        &self,
        request: Request<PodServiceDeleteRequest>,
    ) -> Result<Response<PodServiceDeleteResponse>, Status> {
        let PodServiceDeleteRequest { namespace, name, uid, grace_period_seconds } = request.into_inner();
        let key = key(&namespace, &name)?;
        let event = Event::DeletePod { key, uid, grace_seconds: grace_period_seconds };
        match self.engine.send(event).answer().await? {
            Reply::Pod(pod) => {
                Ok(Response::new(PodServiceDeleteResponse { pod: Some(Arc::unwrap_or_clone(pod)) }))
            }
            Reply::Done | Reply::Job { .. } | Reply::CronJob { .. } | Reply::ImageDeleted { .. } => {
                Err(Status::internal("the engine answered about something else"))
            }
        }
    }

    type LogsStream = Answers<PodServiceLogsResponse>;

    async fn logs(
        &self,
        request: Request<PodServiceLogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let request = request.into_inner();
        let key = key(&request.namespace, &request.name)?;
        let pod = self.pod(&key)?;
        let container = choose_container(&pod, &request.container)?;
        let follow = request.follow && !request.previous;
        if !follow {
            // What cannot be answered is refused at once.
            current_run(&pod, &container, request.previous)?;
        }
        let (sender, receiver) = mpsc::channel(4);
        let agent = self.clone();
        tokio::spawn(async move {
            let tail = LogTail { agent, key, container, request, sender };
            if let Err(refused) = tail.run().await {
                // The client may have gone first.
                let _ = tail.sender.send(Err(refused)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

impl Agent {
    fn pod(&self, key: &ObjectKey) -> Result<Arc<Pod>, Status> {
        let found = self.reader.pod(key).map_err(|error| status::unreadable(&error))?;
        found.ok_or_else(|| status::not_found(KIND, &key.name))
    }
}

/// The container meant; which may be left out if there is one.
fn choose_container(pod: &Pod, name: &str) -> Result<String, Status> {
    let pod_name = pod.metadata.as_ref().map_or("", |meta| &meta.name);
    let empty = PodSpec::default();
    let spec = pod.spec.as_deref().unwrap_or(&empty);
    let names: Vec<&str> = api::pod::containers(spec).map(|container| container.name.as_str()).collect();
    match (name, &names[..]) {
        ("", [only]) => Ok((*only).to_owned()),
        ("", names) => {
            let (init, main) = names.split_at(spec.init_containers.len());
            let or_init = if init.is_empty() {
                String::new()
            } else {
                format!(" or one of the init containers: [{}]", init.join(" "))
            };
            let detail = format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]{or_init}",
                main.join(" ")
            );
            Err(status::field("container", &detail))
        }
        (name, names) if names.contains(&name) => Ok(name.to_owned()),
        (name, names) => {
            let detail =
                format!("container {name} is not valid for pod {pod_name}; there is [{}]", names.join(" "));
            Err(status::field("container", &detail))
        }
    }
}

/// The number of the run whose output is asked for: how often the container was started before it.
fn current_run(pod: &Pod, container: &str, previous: bool) -> Result<u32, Status> {
    let pod_name = pod.metadata.as_ref().map_or("", |meta| &meta.name);
    let status = container_status(pod, container);
    let restarts = status.map_or(0, |status| u32::try_from(status.restart_count).unwrap_or(0));
    if previous {
        // Between two runs the last one is the previous one already, as kubectl has it.
        if status.is_some_and(waits_to_restart) {
            return Ok(restarts);
        }
        return restarts.checked_sub(1).ok_or_else(|| {
            let message = format!("previous terminated container {container} in pod {pod_name} not found");
            Status::failed_precondition(message)
        });
    }
    if !status.is_some_and(has_started) {
        let waiting = status.and_then(|status| status.state.as_ref()?.waiting.as_ref());
        let why = waiting.map_or("the Pod waits for room on the node", |waiting| &waiting.reason);
        let message = format!("container {container} in pod {pod_name} is waiting to start: {why}");
        return Err(Status::failed_precondition(message));
    }
    Ok(restarts)
}

fn container_status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let mut all = status.init_container_statuses.iter().chain(&status.container_statuses);
    all.find(|status| status.name == container)
}

fn waits(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_none_or(|state| state.running.is_none() && state.terminated.is_none())
}

fn waits_to_restart(status: &ContainerStatus) -> bool {
    waits(status) && status.last_state.as_ref().is_some_and(|last| last.terminated.is_some())
}

fn has_started(status: &ContainerStatus) -> bool {
    !waits(status) || waits_to_restart(status)
}

/// One request for logs, being answered.
struct LogTail {
    agent: Agent,
    key: ObjectKey,
    container: String,
    request: PodServiceLogsRequest,
    sender: mpsc::Sender<Result<PodServiceLogsResponse, Status>>,
}

impl LogTail {
    async fn run(&self) -> Result<(), Status> {
        let Some((uid, run)) = self.wait_for_start().await? else { return Ok(()) };
        let mut reader = self.agent.logs.reader(&uid, &self.container, run);
        if !self.request.follow {
            (reader, ()) = blocking(reader, LogReader::end_here).await?;
        }
        let mut left = self.request.limit_bytes;
        if let Some(count) = self.request.tail_lines {
            let lines;
            (reader, lines) = blocking(reader, move |reader| reader.tail(count)).await?;
            if !self.send(lines.into(), &mut left).await {
                return Ok(());
            }
        }
        let mut revision = self.agent.engine.revision.clone();
        loop {
            // Asked before reading: what is written, or ends, from now on is noticed.
            revision.mark_unchanged();
            let goes_on = self.request.follow && self.is_running(&uid, run)?;
            let growth = self.agent.logs.growth(&uid, &self.container, run);
            let mut grown = std::pin::pin!(growth.as_ref().map(|growth| growth.notified()));
            if let Some(grown) = grown.as_mut().as_pin_mut() {
                grown.enable();
            }
            let lines;
            (reader, lines) = blocking(reader, LogReader::read).await?;
            if !lines.is_empty() {
                if !self.send(lines, &mut left).await {
                    return Ok(());
                }
                continue;
            }
            if !goes_on {
                return Ok(());
            }
            let grown = async {
                match grown.as_pin_mut() {
                    Some(grown) => grown.await,
                    // The guest is just being started: its running was recorded first.
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = grown => {}
                changed = revision.changed() => {
                    if changed.is_err() {
                        return Err(Status::unavailable("the agent is going down"));
                    }
                }
                () = self.sender.closed() => return Ok(()),
            }
        }
    }

    /// Whether this very run goes on.
    fn is_running(&self, uid: &str, run: u32) -> Result<bool, Status> {
        let pod = match self.agent.pod(&self.key) {
            Ok(pod) => pod,
            // It was deleted; what it wrote goes with it.
            Err(gone) if gone.code() == tonic::Code::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let same = pod.metadata.as_ref().is_some_and(|meta| meta.uid == uid);
        let status = container_status(&pod, &self.container);
        Ok(same
            && status.is_some_and(|status| {
                let running = status.state.as_ref().is_some_and(|state| state.running.is_some());
                running && u32::try_from(status.restart_count) == Ok(run)
            }))
    }

    /// The Pod's uid and the run to read. With `follow`, waits until the container has started; `None` if it never will.
    async fn wait_for_start(&self) -> Result<Option<(String, u32)>, Status> {
        let mut revision = self.agent.engine.revision.clone();
        loop {
            revision.mark_unchanged();
            let pod = self.agent.pod(&self.key)?;
            let uid = pod.metadata.as_ref().map_or(String::new(), |meta| meta.uid.clone());
            match current_run(&pod, &self.container, self.request.previous) {
                Ok(run) => return Ok(Some((uid, run))),
                Err(refused) if !self.request.follow || self.request.previous => return Err(refused),
                Err(_) => {}
            }
            let phase = pod.status.as_ref().map_or("", |status| &status.phase);
            if matches!(phase, "Succeeded" | "Failed") {
                return Ok(None);
            }
            tokio::select! {
                changed = revision.changed() => {
                    if changed.is_err() {
                        return Err(Status::unavailable("the agent is going down"));
                    }
                }
                () = self.sender.closed() => return Ok(None),
            }
        }
    }

    /// Sends what was asked for of `lines`. False if that was all, or the client has gone.
    async fn send(&self, mut lines: Vec<LogLine>, left: &mut Option<u64>) -> bool {
        if let Some(since) = &self.request.since_time {
            let since = (since.seconds, since.nanos);
            lines.retain(|line| line.time.as_ref().is_some_and(|time| (time.seconds, time.nanos) >= since));
        }
        if let Some(left) = left {
            let mut kept = Vec::new();
            for mut line in lines {
                if *left == 0 {
                    break;
                }
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(line.text.len());
                line.text.truncate(length);
                // The line's end counts as a byte.
                *left = left.saturating_sub(length as u64 + u64::from(!line.partial));
                kept.push(line);
            }
            lines = kept;
        }
        if !lines.is_empty() && self.sender.send(Ok(PodServiceLogsResponse { lines })).await.is_err() {
            return false;
        }
        *left != Some(0)
    }
}

/// Reads from the disk without holding up the others.
async fn blocking<T: Send + 'static>(
    mut reader: LogReader,
    read: impl FnOnce(&mut LogReader) -> std::io::Result<T> + Send + 'static,
) -> Result<(LogReader, T), Status> {
    let done = tokio::task::spawn_blocking(move || {
        let result = read(&mut reader);
        (reader, result)
    });
    let (reader, result) =
        done.await.map_err(|error| Status::internal(format!("cannot read the log: {error}")))?;
    let lines = result.map_err(|error| status::io("read the log", &error))?;
    Ok((reader, lines))
}

impl Watched for Pod {
    type Message = PodServiceWatchResponse;
    const KIND: Kind = Kind::Pod;

    fn list(reader: &Reader, filter: &Filter) -> Result<(Vec<Arc<Pod>>, u64), Status> {
        reader.pods(&filter.namespace, |pod| filter.selects(pod)).map_err(|error| status::unreadable(&error))
    }

    fn of(object: Object) -> Option<Arc<Pod>> {
        match object {
            Object::Pod(pod) => Some(pod),
            Object::Job(_) | Object::CronJob(_) | Object::Event(_) => None,
        }
    }

    fn message(
        _: &Agent,
        kind: WatchEventType,
        pod: Option<Arc<Pod>>,
        revision: u64,
    ) -> PodServiceWatchResponse {
        PodServiceWatchResponse { r#type: kind.into(), pod: pod.map(Arc::unwrap_or_clone), revision }
    }
}
