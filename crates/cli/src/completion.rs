//! `wick completion`, and `wick man`: what shells and `man` are told, from the same definitions as the flags.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::print_bytes;

const EXAMPLES: &str = "\
Examples:
  source <(wick completion bash)
  wick completion zsh > \"${fpath[1]}/_wick\"
  wick completion fish > ~/.config/fish/completions/wick.fish";

/// Prints what a shell needs to complete commands and flags
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completion {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_enum, hide_possible_values = true)]
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Command::command(), "wick", &mut script);
        print_bytes(&script)
    }
}

/// Writes man pages: one for wick, one for each verb
#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct ManPages {
    /// Where to; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl ManPages {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let command = crate::Command::command();
        fs::create_dir_all(&self.dir)
            .and_then(|()| clap_mangen::generate_to(command, &self.dir))
            .map_err(|error| Failure::file(&self.dir, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use expect_test::expect;

    #[test]
    fn every_verb_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        ManPages { dir: dir.path().join("man") }.run().unwrap();
        let mut names: Vec<_> = fs::read_dir(dir.path().join("man"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        expect!["wick-annotate.1 wick-apply.1 wick-completion.1 wick-create-cronjob.1 wick-create-job.1 wick-create.1 wick-delete.1 wick-describe.1 wick-get.1 wick-history.1 wick-image-inspect.1 wick-image-ls.1 wick-image-push.1 wick-image-rm.1 wick-image.1 wick-label.1 wick-logs.1 wick-man.1 wick-next.1 wick-patch.1 wick-resume.1 wick-run.1 wick-scale.1 wick-simulate.1 wick-suspend.1 wick-version.1 wick-wait.1 wick.1"].assert_eq(&names.join(" "));
    }

    #[test]
    fn shells_are_told_the_verbs_and_not_the_hidden_one() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut crate::Command::command(), "wick", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("describe") && script.contains("sort-by"), "{shell}");
            assert!(!script.contains(crate::run::BECOME_AGENT), "{shell}");
        }
    }
}
