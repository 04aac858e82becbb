//! ScheduleService.

use api::cron_job::{Previewing, preview};
use api::pb::k8s::batch::v1::CronJob;
use api::pb::wick::v1::schedule_service_next_request::Of;
use api::pb::wick::v1::schedule_service_server::ScheduleService;
use api::pb::wick::v1::{ScheduleServiceNextRequest, ScheduleServiceNextResponse};
use tonic::{Request, Response, Status};

use super::{Agent, change, status};

#[tonic::async_trait]
impl ScheduleService for Agent {
    async fn next(
        &self,
        request: Request<ScheduleServiceNextRequest>,
    ) -> Result<Response<ScheduleServiceNextResponse>, Status> {
        let ScheduleServiceNextRequest { of, from, count } = request.into_inner();
        let from = from.as_ref().map_or_else(|| self.facts.clock.wall(), api::time::instant);
        let next = |of| preview(of, from, count, &*self.zones, &self.facts.node_name);
        let next = match of {
            None => return Err(status::field("of", "needed; give a schedule, a CronJob or the name of one")),
            Some(Of::Schedule(text)) => {
                next(Previewing::Text(&text)).map_err(|errors| status::invalid("the schedule", &errors))?
            }
            Some(Of::CronJob(cron_job)) => {
                next(Previewing::New(&cron_job)).map_err(|errors| status::invalid("the CronJob", &errors))?
            }
            Some(Of::Stored(named)) => {
                let stored = change::get::<CronJob>(self, &named.namespace, &named.name)?;
                next(Previewing::Stored(&stored)).map_err(|errors| {
                    Status::failed_precondition(format!("CronJob `{}`: {errors}", named.name))
                })?
            }
        };
        Ok(Response::new(next))
    }
}
