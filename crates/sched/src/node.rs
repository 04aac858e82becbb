//! Which waiting Pods the device takes next.
//!
//! Deliberately absent: preemption (a Pod that runs is never stopped for a better one).

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
}
