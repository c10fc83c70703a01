//! A shell command that prints a password: what it prints is read within limits, and nothing of it is left.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::programs;

/// No password is as long.
const OUTPUT_MAX_BYTES: u64 = 64 * 1024;
/// How often the command is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long may be waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the command's end.
    pub(super) run: Duration,
    /// For the end of its output, once it has ended: something that it has left running may hold that open.
    pub(super) output: Duration,
}

impl Default for Limits {
    /// A minute: time enough for somebody to touch a key that the command asks for.
    fn default() -> Self {
        Self { run: Duration::from_secs(60), output: Duration::from_secs(2) }
    }
}

/// The process group of the command, while it runs: a shell starts others.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<Option<Pid>>);

impl Running {
    /// Ends all of it, at once: it holds nothing that it would have to put away.
    pub(super) fn end(&self) {
        if let Some(group) = self.group().take() {
            // Fails only where it has just ended by itself.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    fn group(&self) -> std::sync::MutexGuard<'_, Option<Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that the command prints.
///
/// # Errors
/// Why there is none, without what it printed, which may be the password all the same.
pub(super) fn output(command: &str, limits: Limits, running: &Running) -> Result<Vec<u8>, String> {
    let mut shell = Command::new("sh");
    // A group of its own, which can be ended as a whole.
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    programs::without_passwords(&mut shell);
    let mut child = shell.spawn().map_err(|e| format!("the command cannot be started: {e}"))?;
    *running.group() = i32::try_from(child.id()).ok().map(Pid::from_raw);
    let printed = printed(&mut child);
    let result = finish(&mut child, &printed, limits);
    match &result {
        // What it has left running on purpose, such as an agent, may stay.
        Ok(_) => drop(running.group().take()),
        Err(_) => {
            running.end();
            // Of a group that was killed the shell has ended, too.
            let _ = child.wait();
        }
    }
    result
}

fn finish(child: &mut Child, printed: &Receiver<Vec<u8>>, limits: Limits) -> Result<Vec<u8>, String> {
    let Some(status) = wait(child, limits.run)? else {
        return Err(format!("the command did not end within {} s", limits.run.as_secs_f32()));
    };
    if !status.success() {
        return Err(format!("the command ended with {status}"));
    }
    printed.recv_timeout(limits.output).map_err(|error| match error {
        RecvTimeoutError::Timeout => {
            "the command has ended, but something that it started holds its output open".to_owned()
        }
        RecvTimeoutError::Disconnected => "what the command printed cannot be read".to_owned(),
    })
}

/// Reads what the command prints, beside it; the thread ends with the output, and nobody waits for it longer than the limits say.
fn printed(child: &mut Child) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if stdout.take(OUTPUT_MAX_BYTES).read_to_end(&mut bytes).is_ok() {
                let _ = sender.send(bytes);
            }
        });
    }
    receiver
}

/// Waits for the command's end; nothing where it takes too long.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>, String> {
    let begin = Instant::now();
    loop {
        match child.try_wait().map_err(|e| format!("waiting for the command: {e}"))? {
            Some(status) => return Ok(Some(status)),
            None if begin.elapsed() >= limit => return Ok(None),
            None => thread::sleep(LOOK_EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SHORT: Limits = Limits { run: Duration::from_millis(300), output: Duration::from_millis(300) };

    fn is_there(pid: i32) -> bool {
        // One that has ended and that nobody has waited for is gone as well.
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    /// Runs a command that takes too long, and looks what became of the process of which it wrote the number.
    #[track_caller]
    fn leaves_nothing(command: &str, why: &str) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let begin = Instant::now();
        let command = command.replace("FILE", &file.display().to_string());
        let error = output(&command, SHORT, &Running::default()).unwrap_err();
        assert!(error.contains(why) && !error.contains("hush"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{command}: {:?}", begin.elapsed());
        let pid = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        while is_there(pid) {
            assert!(begin.elapsed() < Duration::from_secs(20), "{command}: its child {pid} is still there");
            thread::sleep(LOOK_EVERY);
        }
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended_with_its_children() {
        leaves_nothing("echo hush; sleep 600 & echo $! >FILE; wait", "did not end within 0.3 s");
    }

    #[test]
    fn a_child_that_holds_the_output_open_keeps_nobody_waiting() {
        leaves_nothing("echo hush; sleep 600 & echo $! >FILE", "holds its output open");
    }

    #[test]
    fn a_command_that_nobody_waits_for_any_more_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = format!("echo $$ >'{}'; sleep 600; :", file.display());
        let running = std::sync::Arc::new(Running::default());
        let of_thread = std::sync::Arc::clone(&running);
        let work = thread::spawn(move || output(&command, Limits::default(), &of_thread));
        while fs::read_to_string(&file).unwrap_or_default().is_empty() {
            thread::sleep(LOOK_EVERY);
        }
        running.end();
        let error = work.join().unwrap().unwrap_err();
        assert!(error.contains("signal: 9"), "{error}");
    }

    #[test]
    fn an_agent_that_it_leaves_behind_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = format!("sleep 600 >/dev/null 2>&1 & echo $! >'{}'; echo hush", file.display());
        assert_eq!(output(&command, SHORT, &Running::default()).unwrap(), b"hush\n");
        let pid = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        assert!(is_there(pid));
        nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
}
