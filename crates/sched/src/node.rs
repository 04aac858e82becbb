//! Which waiting Pods the device takes next: those of higher priority first, and among equals those made earlier.
//!
//! Deliberately absent: preemption (a Pod that runs is never stopped for a better one).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What can be shared out, or is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Pods that are there at the same time.
    pub pods: u32,
    /// Containers that run at the same time.
    pub guests: u32,
    /// CPU requested, in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory requested, in bytes.
    pub memory_bytes: u64,
}

impl Room {
    /// Both together.
    pub fn plus(self, other: Room) -> Room {
        Room {
            pods: self.pods.saturating_add(other.pods),
            guests: self.guests.saturating_add(other.guests),
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    /// The larger of both, for each resource by itself.
    pub fn or_more(self, other: Room) -> Room {
        Room {
            pods: self.pods.max(other.pods),
            guests: self.guests.max(other.guests),
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
        }
    }

    /// What is left of it without the other.
    pub fn minus(self, other: Room) -> Room {
        Room {
            pods: self.pods.saturating_sub(other.pods),
            guests: self.guests.saturating_sub(other.guests),
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
        }
    }

    /// The first thing there is too little of for `asked`; `None` if it fits.
    pub fn lacks(self, asked: Room) -> Option<Lack> {
        if asked.pods > self.pods {
            Some(Lack::Pods)
        } else if asked.guests > self.guests {
            Some(Lack::Guests)
        } else if asked.cpu_millis > self.cpu_millis {
            Some(Lack::Cpu)
        } else if asked.memory_bytes > self.memory_bytes {
            Some(Lack::Memory)
        } else {
            None
        }
    }
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Too many Pods are there already.
    Pods,
    /// Too many containers run already.
    Guests,
    /// Too much CPU is requested already.
    Cpu,
    /// Too much memory is requested already.
    Memory,
    /// The node does not have the labels that are asked for.
    Labels,
}

/// Pods that wait for room, in the order in which they are let in.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    order: BTreeSet<(Reverse<i32>, u64)>,
    priorities: BTreeMap<u64, i32>,
}

impl Queue {
    /// The Pod with this number waits, and is as important as this.
    pub fn insert(&mut self, pod: u64, priority: i32) {
        self.remove(&pod);
        self.order.insert((Reverse(priority), pod));
        self.priorities.insert(pod, priority);
    }

    /// It waits no longer.
    pub fn remove(&mut self, pod: &u64) {
        if let Some(priority) = self.priorities.remove(pod) {
            self.order.remove(&(Reverse(priority), *pod));
        }
    }

    /// Who is next.
    pub fn first(&self) -> Option<u64> {
        self.order.first().map(|(_, pod)| *pod)
    }

    /// Takes out who is next.
    pub fn pop_first(&mut self) -> Option<u64> {
        let (_, pod) = self.order.pop_first()?;
        self.priorities.remove(&pod);
        Some(pod)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.order.iter().map(|(_, pod)| *pod)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True if nobody does.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// How many Pods at the head of `waiting` fit in `free`, and what the next one lacks.
///
/// Whole Pods only, and strictly in order: a small Pod does not overtake a large one, else the large one might wait for ever.
pub fn admit(waiting: impl IntoIterator<Item = Room>, mut free: Room) -> (usize, Option<Lack>) {
    let mut admitted = 0;
    for asked in waiting {
        if let Some(lack) = free.lacks(asked) {
            return (admitted, Some(lack));
        }
        free = free.minus(asked);
        admitted += 1;
    }
    (admitted, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_whole_pods_in_order_while_they_fit() {
        let pod = |guests, memory_bytes| Room { pods: 1, guests, cpu_millis: 100, memory_bytes };
        let free = Room { pods: 3, guests: 4, cpu_millis: 1000, memory_bytes: 100 };
        assert_eq!(admit([pod(1, 10), pod(2, 10), pod(1, 10)], free), (3, None));
        assert_eq!(admit([pod(3, 10), pod(2, 10), pod(1, 10)], free), (1, Some(Lack::Guests)));
        assert_eq!(admit([pod(1, 60), pod(1, 60)], free), (1, Some(Lack::Memory)));
        assert_eq!(admit([pod(1, 1); 4], free), (3, Some(Lack::Pods)));
        assert_eq!(admit([], free), (0, None));
    }

    #[test]
    fn the_important_are_next_and_among_equals_the_older() {
        let mut queue = Queue::default();
        for (pod, priority) in [(1, 0), (2, 0), (3, 2_000_001_000), (4, 0), (5, -1), (6, 2_000_000_000)] {
            queue.insert(pod, priority);
        }
        queue.remove(&2);
        queue.remove(&7);
        queue.insert(4, 0);
        assert_eq!(queue.iter().collect::<Vec<_>>(), [3, 6, 1, 4, 5]);
        assert_eq!((queue.first(), queue.pop_first(), queue.len()), (Some(3), Some(3), 4));
        assert!(!queue.is_empty());
    }
}
