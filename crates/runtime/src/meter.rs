//! Drives a guest and holds it to its time: deadline, stop, CPU share; and measures it.
//!
//! All of it happens between two polls of the guest. A guest that computes comes back at every epoch; one that
//! waits in a host call is woken by the timer or the stop.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::Sleep;

use crate::{
    guest::{Control, StopReason},
    ticker::Ticker,
};

/// What came of a guest's future.
pub(crate) enum Outcome<T> {
    Ended(T),
    /// A host function panicked under it; what it said.
    Panicked(String),
    Deadline,
    Stopped(StopReason),
}

pub(crate) struct Meter {
    control: Arc<Control>,
    ticker: Ticker,
    deadline: Option<Instant>,
    share: Option<Share>,
    cpu: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Meter {
    pub(crate) fn new(
        control: Arc<Control>,
        ticker: Ticker,
        began: Instant,
        deadline: Option<Duration>,
        cpu_millis: Option<u32>,
    ) -> Meter {
        // A deadline beyond what the clock can count is none.
        let deadline = deadline.and_then(|deadline| began.checked_add(deadline));
        let share = cpu_millis.and_then(|millis| Share::new(millis, began));
        Meter { control, ticker, deadline, share, cpu: Duration::ZERO, timer: None }
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.cpu
    }

    pub(crate) fn poll<F: Future>(
        &mut self,
        cx: &mut Context<'_>,
        guest: Pin<&mut F>,
    ) -> Poll<Outcome<F::Output>> {
        let began = Instant::now();
        if let Some(outcome) = self.over(began) {
            return Poll::Ready(outcome);
        }
        let parked = self.share.as_mut().and_then(|share| share.parked_until(began));
        if parked.is_none() {
            let polled = {
                let _running = self.ticker.enter();
                catch_unwind(AssertUnwindSafe(|| guest.poll(cx)))
            };
            let now = Instant::now();
            let spent = now.duration_since(began);
            self.cpu += spent;
            if let Some(share) = &mut self.share {
                share.spend(spent);
            }
            match polled {
                Ok(Poll::Ready(output)) => return Poll::Ready(Outcome::Ended(output)),
                Err(panic) => return Poll::Ready(Outcome::Panicked(said(&*panic))),
                // If its share is used up, it is parked when its next wake comes.
                Ok(Poll::Pending) => {}
            }
        }
        let stop = self.control.listen(cx.waker());
        let ends = [self.deadline, stop.map(|stop| stop.at), parked].into_iter().flatten().min();
        if let Some(at) = ends {
            self.wake_at(cx, at);
        }
        Poll::Pending
    }

    /// Whether its time is over. A stop comes before a deadline: somebody said why.
    fn over<T>(&self, now: Instant) -> Option<Outcome<T>> {
        match self.control.asked() {
            Some(stop) if stop.at <= now => return Some(Outcome::Stopped(stop.reason)),
            _ => {}
        }
        self.deadline.is_some_and(|deadline| deadline <= now).then_some(Outcome::Deadline)
    }

    fn wake_at(&mut self, cx: &mut Context<'_>, at: Instant) {
        let at = tokio::time::Instant::from_std(at);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(said), _) => (*said).to_owned(),
        (_, Some(said)) => said.clone(),
        _ => "it did not say why".to_owned(),
    }
}

/// A share of one CPU, as a bucket that fills with time and is emptied by running.
struct Share {
    millis: u32,
    /// What it may run now, in nanoseconds; below zero it has run ahead of its share.
    credit: i64,
    filled: Instant,
}

/// The span a share is averaged over: what a guest that slept may use at once.
const PERIOD: Duration = Duration::from_millis(100);

impl Share {
    fn new(millis: u32, now: Instant) -> Option<Share> {
        let millis = millis.max(1);
        (millis < 1000).then(|| Share { millis, credit: Share::earned(millis, PERIOD), filled: now })
    }

    fn earned(millis: u32, span: Duration) -> i64 {
        i64::try_from(span.as_nanos() * u128::from(millis) / 1000).unwrap_or(i64::MAX)
    }

    /// Until when it has to wait, if it has used more than its share.
    fn parked_until(&mut self, now: Instant) -> Option<Instant> {
        let earned = Share::earned(self.millis, now.duration_since(self.filled));
        self.filled = now;
        self.credit = self.credit.saturating_add(earned).min(Share::earned(self.millis, PERIOD));
        if self.credit >= 0 {
            return None;
        }
        let debt = self.credit.unsigned_abs().saturating_mul(1000) / u64::from(self.millis);
        // At least what a timer can tell apart.
        now.checked_add(Duration::from_nanos(debt).max(Duration::from_millis(1)))
    }

    fn spend(&mut self, spent: Duration) {
        self.credit = self.credit.saturating_sub(i64::try_from(spent.as_nanos()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a guest that always computes, an epoch at a time, for `span`; gives what it got.
    fn spin(millis: u32, span: Duration) -> Duration {
        let start = Instant::now();
        let (mut now, mut got) = (start, Duration::ZERO);
        let mut share = Share::new(millis, start);
        while now - start < span {
            match share.as_mut().and_then(|share| share.parked_until(now)) {
                Some(until) => now = until,
                None => {
                    now += crate::ticker::TICK;
                    got += crate::ticker::TICK;
                    if let Some(share) = &mut share {
                        share.spend(crate::ticker::TICK);
                    }
                }
            }
        }
        got
    }

    #[test]
    fn a_guest_gets_its_share_and_at_most_one_burst_more() {
        let span = Duration::from_secs(10);
        for millis in [1, 10, 100, 250, 500, 999] {
            let fair = span * millis / 1000;
            let got = spin(millis, span);
            assert!(got >= fair, "{millis}m: {got:?} of {fair:?}");
            assert!(got <= fair + PERIOD + 2 * crate::ticker::TICK, "{millis}m: {got:?} of {fair:?}");
        }
    }

    #[test]
    fn a_whole_cpu_is_no_limit() {
        assert!(Share::new(1000, Instant::now()).is_none());
        assert!(Share::new(4000, Instant::now()).is_none());
    }
}
