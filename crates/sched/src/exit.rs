/// The longest message of an exit that is kept, in bytes: it is recorded with every Pod. (The kubelet keeps 4096.)
pub const MESSAGE_MAX: usize = 1024;

/// How a container ended. Every way to end is one of these; the exit code follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The guest said so.
    Code(u8),
    /// It trapped: an `unreachable`, an access out of bounds, an exhausted stack … `message` names which.
    Trap {
        /// The trap's name and, where known, the functions it happened in.
        message: String,
    },
    /// It used up its fuel.
    OutOfFuel {
        /// How much it was given.
        message: String,
    },
    /// It asked for more memory than its limit.
    OutOfMemory {
        /// What the limit was.
        message: String,
    },
    /// It ran when its Pod's or Job's deadline came.
    Deadline,
    /// It was stopped because its Pod was.
    Stopped,
    /// It could not be started.
    Refused {
        /// Why.
        why: String,
    },
    /// The agent or the device went down under it.
    Interrupted,
}

impl Exit {
    /// The exit code people see: the guest's own, or 134 for a trap (128 + SIGABRT), 137 for what was killed (128 +
    /// SIGKILL), 152 for out of fuel (128 + SIGXCPU), 128 for what could not be started, as container runtimes say it.
    pub fn code(&self) -> u8 {
        match self {
            Exit::Code(code) => *code,
            Exit::Trap { .. } => 134,
            Exit::OutOfFuel { .. } => 152,
            Exit::OutOfMemory { .. } | Exit::Deadline | Exit::Stopped | Exit::Interrupted => 137,
            Exit::Refused { .. } => 128,
        }
    }

    /// True if the container did what it was to do.
    pub fn succeeded(&self) -> bool {
        *self == Exit::Code(0)
    }

    /// The one word that tells which way it ended. Kubernetes' words where it has one.
    pub fn reason(&self) -> &'static str {
        match self {
            Exit::Code(0) => "Completed",
            Exit::Code(_) => "Error",
            Exit::Trap { .. } => "Trap",
            Exit::OutOfFuel { .. } => "OutOfFuel",
            Exit::OutOfMemory { .. } => "OOMKilled",
            Exit::Deadline => "DeadlineExceeded",
            Exit::Stopped => "Stopped",
            Exit::Refused { .. } => "StartError",
            Exit::Interrupted => "ContainerStatusUnknown",
        }
    }

    /// More about it, for people; empty where the code says all.
    pub fn message(&self) -> &str {
        match self {
            Exit::Code(_) | Exit::Stopped => "",
            Exit::Trap { message } | Exit::OutOfFuel { message } | Exit::OutOfMemory { message } => message,
            Exit::Refused { why } => why,
            Exit::Deadline => "it was still running at its deadline",
            Exit::Interrupted => "the agent or the device went down while it ran",
        }
    }

    /// With its message cut to [`MESSAGE_MAX`].
    #[must_use]
    pub fn shortened(mut self) -> Exit {
        let message = match &mut self {
            Exit::Trap { message } | Exit::OutOfFuel { message } | Exit::OutOfMemory { message } => message,
            Exit::Refused { why } => why,
            Exit::Code(_) | Exit::Deadline | Exit::Stopped | Exit::Interrupted => return self,
        };
        if message.len() > MESSAGE_MAX {
            let cut = (0..=MESSAGE_MAX).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(cut);
            message.push('…');
        }
        self
    }

    /// The exit that [`Exit::reason`], [`Exit::code`] and [`Exit::message`] tell of: what is stored is these three.
    pub fn from_parts(reason: &str, code: u8, message: &str) -> Exit {
        let message = message.to_owned();
        match reason {
            "Trap" => Exit::Trap { message },
            "OutOfFuel" => Exit::OutOfFuel { message },
            "OOMKilled" => Exit::OutOfMemory { message },
            "DeadlineExceeded" => Exit::Deadline,
            "Stopped" => Exit::Stopped,
            "StartError" => Exit::Refused { why: message },
            "ContainerStatusUnknown" => Exit::Interrupted,
            _ => Exit::Code(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = |text: &str| Exit::Trap { message: text.to_owned() }.shortened().message().to_owned();
        assert_eq!(message("short"), "short");
        assert_eq!(message(&"ä".repeat(MESSAGE_MAX)), format!("{}…", "ä".repeat(MESSAGE_MAX / 2)));
        assert_eq!(message(&format!("x{}", "ä".repeat(MESSAGE_MAX))).len(), MESSAGE_MAX - 1 + '…'.len_utf8());
    }

    #[test]
    fn what_is_stored_of_an_exit_tells_which_it_was() {
        let message = String::from("why");
        for exit in [
            Exit::Code(0),
            Exit::Code(3),
            Exit::Code(137), // A guest may say 137 itself; that is not a kill.
            Exit::Trap { message: message.clone() },
            Exit::OutOfFuel { message: message.clone() },
            Exit::OutOfMemory { message: message.clone() },
            Exit::Deadline,
            Exit::Stopped,
            Exit::Refused { why: message },
            Exit::Interrupted,
        ] {
            assert_eq!(Exit::from_parts(exit.reason(), exit.code(), exit.message()), exit);
        }
    }
}
