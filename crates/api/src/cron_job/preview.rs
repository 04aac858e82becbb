//! When a schedule or a CronJob is due next, as it is told to people.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sched::Millis;
use sched::cron::{self, ClockChange, Dst, Previewed, Schedule};
use sched::cron_job::Zones;

use super::{annotations, check, state, zone};
use crate::field_error::FieldErrors;
use crate::job::Grants;
use crate::kind::Object;
use crate::metadata;
use crate::pb::k8s::batch::v1::CronJob;
use crate::pb::wick::v1::{self, PreviewedSlot, ScheduleServiceNextResponse, ScheduleText};
use crate::time;

/// So many slots are shown where nobody says how many.
pub const PREVIEW_DEFAULT: u32 = 10;
/// The most that are shown.
pub const PREVIEW_MAX: u32 = 1000;

/// What clocks say where a zone has rules but no name.
const UNNAMED: &str = "Local";

/// Whose slots.
#[derive(Clone, Copy, Debug)]
pub enum Previewing<'a> {
    /// Of a schedule by itself; its zone is UTC if it names none.
    Text(&'a ScheduleText),
    /// Of a CronJob that is not stored: only its spec, name and annotations matter. Its zone is UTC if it names none.
    New(&'a CronJob),
    /// Of a stored CronJob. Its zone is the device's if it names none.
    Stored(&'a CronJob),
}

/// The next slots after an instant, with what clock changes do to them; or what is wrong with what they are asked of.
///
/// `device` names the device: its share of a jitter depends on it.
pub fn preview(
    of: Previewing<'_>,
    from: Timestamp,
    count: u32,
    zones: &dyn Zones,
    device: &str,
) -> Result<ScheduleServiceNextResponse, FieldErrors> {
    let mut errors = FieldErrors::new();
    let count = match count {
        0 => PREVIEW_DEFAULT,
        1..=PREVIEW_MAX => count,
        _ => {
            errors.invalid("count", i64::from(count), format!("is too many; the most is {PREVIEW_MAX}"));
            return Err(errors);
        }
    };
    let asked = match of {
        Previewing::Text(text) => Asked::of_text(text, zones, &mut errors),
        Previewing::New(cron_job) => Asked::of_new(cron_job, zones, device, &mut errors),
        Previewing::Stored(cron_job) => Asked::of_stored(cron_job, zones, device, &mut errors),
    };
    match asked {
        Some(asked) if errors.is_empty() => Ok(asked.next(from, count)),
        _ => Err(errors.cut()),
    }
}

struct Asked {
    schedule: Schedule,
    zone: TimeZone,
    zone_name: String,
    dst: Dst,
    splay: Millis,
    held_because: &'static str,
    /// What `@every` counts from; unset counts from the instant that is asked about.
    since: Option<Timestamp>,
}

impl Asked {
    fn of_text(text: &ScheduleText, zones: &dyn Zones, errors: &mut FieldErrors) -> Option<Asked> {
        let schedule = Schedule::parse(&text.schedule);
        if let Err(error) = &schedule {
            errors.invalid_within("schedule", &text.schedule, error);
        }
        let zone_name = if text.time_zone.is_empty() { "UTC" } else { &text.time_zone };
        if let Err(must) = zone::check(zone_name, zones) {
            errors.invalid("timeZone", zone_name, must);
        }
        let dst = match text.dst.as_str() {
            "" | "Kubernetes" => Dst::Kubernetes,
            "RunOnce" => Dst::RunOnce,
            other => {
                errors.unsupported("dst", other, &["Kubernetes", "RunOnce"]);
                Dst::default()
            }
        };
        Some(Asked {
            schedule: schedule.ok()?,
            zone: zones.find(zone_name)?,
            zone_name: zone_name.to_owned(),
            dst,
            splay: Millis(0),
            held_because: "",
            since: None,
        })
    }

    fn of_new(
        cron_job: &CronJob,
        zones: &dyn Zones,
        device: &str,
        errors: &mut FieldErrors,
    ) -> Option<Asked> {
        // What its Jobs are is not asked here, nor are its labels.
        let mut found = FieldErrors::new();
        check::validate(cron_job, &Grants::default(), &mut found);
        found.append(check::unless_stored(cron_job, zones));
        let ours = format!("metadata.annotations[{}", annotations::OURS);
        found.retain(|error| {
            let path = error.path.as_str();
            matches!(path, "spec" | "spec.schedule" | "spec.timeZone") || path.starts_with(&ours)
        });
        if !found.is_empty() {
            errors.append(found);
            return None;
        }
        let mut cron_job = cron_job.clone();
        // Its splay depends on the namespace it would be in.
        metadata::place(cron_job.metadata_mut());
        if let Some(spec) = &mut cron_job.spec {
            spec.make_mut().time_zone.get_or_insert_with(|| "UTC".to_owned());
        }
        Asked::of_stored(&cron_job, zones, device, errors)
    }

    fn of_stored(
        cron_job: &CronJob,
        zones: &dyn Zones,
        device: &str,
        errors: &mut FieldErrors,
    ) -> Option<Asked> {
        let spec = state::spec(cron_job, zones, device);
        let given = cron_job.spec.as_ref();
        let text = given.map_or("", |given| &given.schedule);
        if let Err(why) = &spec.schedule {
            errors.invalid_within("spec.schedule", text, why);
        }
        let within = cron::split_zone(text).and_then(Result::ok).map(|(zone, _)| zone);
        let named = given.and_then(|given| given.time_zone.as_deref()).or(within);
        if spec.zone.is_none() && spec.schedule.is_ok() {
            let must = "is no time zone this device knows, so no slot starts a Job";
            errors.invalid("spec.timeZone", named.unwrap_or_default(), must);
        }
        let zone = spec.zone?;
        let called = || zone.iana_name().unwrap_or(UNNAMED).to_owned();
        let since = cron_job.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
        let created = || cron_job.metadata.as_ref()?.creation_timestamp.as_ref();
        Some(Asked {
            zone_name: named.filter(|name| !name.is_empty()).map_or_else(called, ToOwned::to_owned),
            schedule: spec.schedule.ok()?,
            zone,
            dst: spec.dst,
            splay: spec.splay,
            held_because: if spec.suspend { "Suspended" } else { "" },
            since: since.or_else(created).map(time::instant),
        })
    }

    fn next(self, from: Timestamp, count: u32) -> ScheduleServiceNextResponse {
        let from = self.counted_from(from);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let previewed = self.schedule.preview(from, count, &self.zone, self.dst);
        ScheduleServiceNextResponse {
            slots: previewed.into_iter().map(|previewed| slot(previewed, self.splay)).collect(),
            time_zone: self.zone_name,
            held_because: self.held_because.to_owned(),
        }
    }

    /// The last multiple of the period that is not after the instant asked about, where there is a period.
    fn counted_from(&self, from: Timestamp) -> Timestamp {
        let (Some(period), Some(since)) = (self.schedule.period(), self.since) else { return from };
        match self.schedule.latest(since, from, &self.zone, self.dst) {
            Some(latest) => latest,
            None if from < since || from.duration_since(since) < period => since,
            None => from,
        }
    }
}

fn slot(previewed: Previewed, splay: Millis) -> PreviewedSlot {
    let start = |slot: Timestamp| {
        let splay = jiff::SignedDuration::from_millis(splay.0);
        slot.checked_add(splay).unwrap_or(slot)
    };
    let local = previewed.local_text();
    let slot = previewed.slot.map(|(slot, _)| slot);
    let clock_change = match previewed.change {
        None => v1::ClockChange::Unspecified,
        Some(ClockChange::Dropped) => v1::ClockChange::Dropped,
        Some(ClockChange::Moved) => v1::ClockChange::Moved,
        Some(ClockChange::FirstOfTwo) => v1::ClockChange::FirstOfTwo,
        Some(ClockChange::SecondOfTwo) => v1::ClockChange::SecondOfTwo,
        Some(ClockChange::OnceOfTwo) => v1::ClockChange::OnceOfTwo,
    };
    PreviewedSlot {
        slot: slot.map(time::exact),
        local,
        start: slot.map(start).map(time::exact),
        clock_change: clock_change.into(),
        note: previewed.note,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::rules::Bundled;

    fn told(of: Previewing<'_>, from: &str, count: u32, expected: Expect) {
        let lines = match preview(of, from.parse().unwrap(), count, &Bundled, "edge-1") {
            Err(errors) => errors.into_iter().map(|error| format!("{error}\n")).collect::<String>(),
            Ok(next) => {
                let slots = next.slots.iter().map(|slot| {
                    let shown = |at: Option<&prost_types::Timestamp>| {
                        at.map_or("-".to_owned(), |at| time::instant(at).to_string())
                    };
                    let (slot_at, start) = (shown(slot.slot.as_ref()), shown(slot.start.as_ref()));
                    format!("{slot_at} {} {start} {}", slot.local, slot.note).trim_end().to_owned() + "\n"
                });
                let zone = format!("{} {}", next.time_zone, next.held_because);
                format!("{}\n{}", zone.trim_end(), slots.collect::<String>())
            }
        };
        expected.assert_eq(&lines);
    }

    fn text(schedule: &str, time_zone: &str, dst: &str) -> ScheduleText {
        ScheduleText { schedule: schedule.into(), time_zone: time_zone.into(), dst: dst.into() }
    }

    fn cron_job(yaml: &str) -> CronJob {
        let node = crate::yaml::read(yaml).unwrap().remove(0).node;
        crate::json::from_node(&node).unwrap()
    }

    #[test]
    fn a_schedule_by_itself_is_meant_in_utc_unless_it_says_otherwise() {
        let from = "2026-03-07T00:00:00Z";
        told(
            Previewing::Text(&text("30 2 * * *", "", "")),
            from,
            2,
            expect![[r#"
                UTC
                2026-03-07T02:30:00Z 2026-03-07T02:30:00+00:00 2026-03-07T02:30:00Z
                2026-03-08T02:30:00Z 2026-03-08T02:30:00+00:00 2026-03-08T02:30:00Z
            "#]],
        );
        let york = text("30 2 * * *", "America/New_York", "RunOnce");
        told(
            Previewing::Text(&york),
            from,
            2,
            expect![[r#"
                America/New_York
                2026-03-07T07:30:00Z 2026-03-07T02:30:00-05:00 2026-03-07T07:30:00Z
                2026-03-08T07:00:00Z 2026-03-08T03:00:00-04:00 2026-03-08T07:00:00Z clocks go forward by 1h: 02:30 does not exist on this day; it comes at 03:00
            "#]],
        );
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let from = "2026-03-07T00:00:00Z";
        told(
            Previewing::Text(&text("* * * * * *", "utc", "Once")),
            from,
            2,
            expect![[r#"
            schedule: 6 fields; Kubernetes cron has 5 (minute hour day month weekday)
            timeZone: `utc` is no time zone this device knows; did you mean `UTC`?
            dst: `Once` is not one of `Kubernetes` or `RunOnce`
        "#]],
        );
        told(
            Previewing::Text(&text("* * * * *", "", "")),
            from,
            1001,
            expect![[r#"
            count: 1001 is too many; the most is 1000
        "#]],
        );
        let wrong = cron_job(
            "{metadata: {annotations: {wick.dev/dst: Twice, wick.dev/jitter: 3d}}, spec: {schedule: 0 0 L * *, timeZone: berlin}}",
        );
        told(
            Previewing::New(&wrong),
            from,
            2,
            expect![[r#"
            metadata.annotations[wick.dev/dst]: `Twice` is not one of `Kubernetes` or `RunOnce`
            metadata.annotations[wick.dev/jitter]: `3d` must be a duration such as `30s`, `5m` or `1h30m`, in units of h, m, s and ms
            spec.schedule: day of month: `L` is not a number; it must be a number from 1 to 31
            spec.timeZone: `berlin` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
        "#]],
        );
        told(
            Previewing::New(&CronJob::default()),
            from,
            2,
            expect![[r#"
            spec: needed; say when the CronJob starts which Job
        "#]],
        );
    }

    #[test]
    fn what_a_cron_job_starts_does_not_matter() {
        let unsaved = cron_job(
            "{metadata: {name: report, namespace: default, annotations: {wick.dev/jitter: 30s}}, spec: {schedule: 0 9 * * *, suspend: true}}",
        );
        let from = "2026-03-28T00:00:00Z";
        told(
            Previewing::New(&unsaved),
            from,
            1,
            expect![[r#"
            UTC Suspended
            2026-03-28T09:00:00Z 2026-03-28T09:00:00+00:00 2026-03-28T09:00:05.868Z
        "#]],
        );
        told(
            Previewing::Stored(&unsaved),
            from,
            2,
            expect![[r#"
            Europe/Berlin Suspended
            2026-03-28T08:00:00Z 2026-03-28T09:00:00+01:00 2026-03-28T08:00:05.868Z
            2026-03-29T07:00:00Z 2026-03-29T09:00:00+02:00 2026-03-29T07:00:05.868Z
        "#]],
        );
    }

    #[test]
    fn what_was_stored_long_ago_is_previewed_as_it_runs() {
        let from = "2026-03-28T00:00:00Z";
        let within = cron_job("{spec: {schedule: TZ=Asia/Seoul 0 9 * * *}}");
        told(
            Previewing::Stored(&within),
            from,
            1,
            expect![[r#"
                Asia/Seoul
                2026-03-29T00:00:00Z 2026-03-29T09:00:00+09:00 2026-03-29T00:00:00Z
            "#]],
        );
        let gone = cron_job("{spec: {schedule: 0 9 * * *, timeZone: Mars/Olympus}}");
        told(
            Previewing::Stored(&gone),
            from,
            1,
            expect![[r#"
            spec.timeZone: `Mars/Olympus` is no time zone this device knows, so no slot starts a Job
        "#]],
        );
    }

    #[test]
    fn a_period_is_counted_from_the_last_slot() {
        let every = cron_job(
            "{metadata: {creationTimestamp: 2026-03-28T00:00:10Z}, spec: {schedule: '@every 1h', timeZone: UTC}}",
        );
        for from in ["2026-03-28T02:30:00Z", "2026-03-28T00:00:10Z", "2026-03-27T00:00:00Z"] {
            let next = preview(Previewing::Stored(&every), from.parse().unwrap(), 1, &Bundled, "").unwrap();
            let slot = time::instant(next.slots[0].slot.as_ref().unwrap());
            assert_eq!(slot.as_second() % 3600, 10, "{slot}");
        }
    }
}
