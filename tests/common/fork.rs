//! Forked children.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A forked child, which has to be waited for.
#[must_use]
pub(crate) struct Child(libc::pid_t);

/// Runs `body` in a forked child. What it takes out of its surroundings, by `&mut`, is still there in the parent.
pub(crate) fn fork(body: impl FnOnce()) -> Child {
    // SAFETY: the child uses memory, the C library's allocator, which is good after a fork, and system calls, and ends without destructors.
    run(unsafe { libc::fork() }, body)
}

/// [`fork`] without what the C library does for it, as `_Fork()`: no handler is called. For a process of one thread, whose locks are free.
#[allow(
    dead_code,
    reason = "not all that share this file have rings of the kernel"
)]
pub(crate) fn fork_without_handlers(body: impl FnOnce()) -> Child {
    // SAFETY: as a fork; the child has its own copy of the stack.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    run(child as libc::pid_t, body)
}

fn run(child: libc::pid_t, body: impl FnOnce()) -> Child {
    match child {
        0 => {
            // A lock that another thread had at the fork stays locked: a child that waits for one ends by SIGALRM.
            // SAFETY: takes a number.
            unsafe { libc::alarm(60) };
            // Past the harness, which keeps what is printed for the parent.
            std::panic::set_hook(Box::new(|panic| drop(writeln!(io::stderr(), "{panic}"))));
            let result = catch_unwind(AssertUnwindSafe(body));
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
        child => {
            assert!(child > 0, "no child");
            Child(child)
        }
    }
}

impl Child {
    /// Sees that it ends, and neither panicked nor crashed.
    #[track_caller]
    pub(crate) fn wait(self) {
        let mut status = 0;
        // SAFETY: the kernel writes one number.
        assert_eq!(unsafe { libc::waitpid(self.0, &mut status, 0) }, self.0);
        assert!(
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
            "the child ended with status {status:#x}"
        );
    }
}
