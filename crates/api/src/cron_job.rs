//! CronJobs: taken in with Kubernetes' defaults and rules (`check.rs`, `zone.rs`) and what is asked for in annotations of
//! ours (`annotations.rs`), turned into what is decided from (`state.rs`), and into the Jobs they start (`template.rs`) or
//! somebody starts from them (`manual.rs`); and when they are due next (`next_slot.rs`).

mod annotations;
mod check;
mod manual;
mod next_slot;
mod preview;
mod state;
mod template;
mod zone;

use jiff::Timestamp;

use crate::asked::{self, Asked};
use crate::field_error::FieldErrors;
use crate::job::{self, Grants};
use crate::kind::Object;
use crate::pb::k8s::batch::v1::{CronJob, CronJobSpec};
use crate::{metadata, support};

pub use annotations::{CATCH_UP, CATCH_UP_LIMIT, CATCH_UP_LIMIT_DEFAULT, CATCH_UP_LIMIT_MAX, DST, JITTER};
pub use annotations::{JITTER_MAX, jitter};
pub use manual::{INSTANTIATE, OVERRIDES, manual, manual_run};
pub use next_slot::{NEXT_SLOT_MAX, next_slot};
pub use preview::{PREVIEW_DEFAULT, PREVIEW_MAX, Previewing, preview};
pub use sched::cron_job::Zones;
pub use state::{begin_deletion, missed, missed_slots, new_state, record, spec, state, write_status};
pub use template::{SCHEDULED_TIMESTAMP, Template, cron_job_of, scheduled_slot};

/// A CronJob that was asked for: checked, with its defaults, without an identity yet.
pub type NewCronJob = Asked<CronJob>;

impl NewCronJob {
    /// Takes a CronJob in: what the agent sets is dropped, defaults are filled in, and everything that is wrong or cannot be
    /// honoured is told at once.
    ///
    /// What may stay as it is in a stored CronJob, and is wrong in a new one (a zone that the device does not know any more,
    /// say), is told by [`stamp`](NewCronJob::stamp) and [`revise`](NewCronJob::revise) if nothing else is wrong.
    pub fn check(cron_job: CronJob, grants: &Grants, zones: &dyn Zones) -> Result<NewCronJob, FieldErrors> {
        Asked::unless_wrong(NewCronJob::examine(cron_job, grants, zones))
    }

    /// The same, with all that is wrong as it was found; to be put in order and cut.
    pub(crate) fn examine(
        mut cron_job: CronJob,
        grants: &Grants,
        zones: &dyn Zones,
    ) -> (NewCronJob, FieldErrors) {
        let mut errors = FieldErrors::new();
        if asked::is_too_large(&cron_job, &mut errors) {
            return (Asked::new(CronJob::default(), &[]), errors);
        }
        cron_job.status = None;
        metadata::place(cron_job.metadata_mut());
        let support = support::check_message(&cron_job);
        check::default(&mut cron_job);
        check::validate(&cron_job, grants, &mut errors);
        let unless_stored = check::unless_stored(&cron_job, zones);
        let mut warnings = support.warnings;
        if errors.is_empty() {
            check::warn(&cron_job, &mut warnings);
        }
        errors.append(support.refused);
        let mut new = Asked::new(cron_job, &warnings);
        if !errors.is_empty() {
            // Most CronJobs are new, and what is wrong is told at once.
            errors.append(unless_stored);
        } else if !unless_stored.is_empty() {
            new.unless_stored = new.in_order(unless_stored);
        }
        (new, errors)
    }

    /// The CronJob as it is first stored, under this name and identity. Tells what no new one may have.
    pub fn stamp(self, name: String, uid: &str, now: Timestamp) -> Result<CronJob, FieldErrors> {
        let mut cron_job = self.object;
        asked::stamp(cron_job.metadata_mut(), name, uid, now);
        self.unless_stored.cut().into_result(cron_job)
    }

    /// What `stored` becomes when it is replaced by this; `None` if nothing changes. Tells what only a CronJob may have that
    /// had it before.
    pub fn revise(self, stored: &CronJob) -> Result<Option<CronJob>, FieldErrors> {
        let mut cron_job = stored.clone();
        let whole = self.is_whole();
        asked::revise(cron_job.metadata_mut(), self.object.metadata.unwrap_or_default(), whole);
        cron_job.spec = self.object.spec;
        if cron_job == *stored {
            return Ok(None);
        }
        let mut errors = self.unless_stored;
        errors.retain(|error| check::is_new(error, &cron_job, stored));
        if cron_job.spec != stored.spec {
            cron_job.metadata_mut().generation += 1;
        }
        errors.cut().into_result(Some(cron_job))
    }
}

/// The images of the containers in a CronJob's template, in order.
pub fn images(cron_job: &CronJob) -> Vec<String> {
    let images = |spec: &CronJobSpec| {
        let jobs = spec.job_template.iter().filter_map(|template| template.spec.as_ref());
        jobs.flat_map(|spec| job::spec_images(spec)).map(str::to_owned).collect()
    };
    cron_job.spec.as_ref().map_or_else(Vec::new, |spec| spec.glance(images))
}

/// Has the spec of a CronJob lie in memory as its bytes: most wait for a long time, and some devices have thousands.
pub fn pack(cron_job: &mut CronJob) {
    if let Some(spec) = &mut cron_job.spec {
        spec.pack();
    }
}
