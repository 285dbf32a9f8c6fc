//! Forked children.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A forked child, which has to be waited for.
#[must_use]
pub(crate) struct Child(libc::pid_t);

/// Runs `body` in a forked child. What it takes out of its surroundings, by `&mut`, is still there in the parent.
pub(crate) fn fork(body: impl FnOnce()) -> Child {
    // SAFETY: the child uses memory, the C library's allocator, which is good after a fork, and system calls, and ends without destructors.
    match unsafe { libc::fork() } {
        0 => {
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
