//! The publish of a task on this thread.

use super::{of_this_thread, user_code_depth};

/// A mark: a task publishes, and continues later where there is no room, until this is dropped.
///
/// A stage that branches may keep the event of such a publish, since its publisher comes back for it.
#[must_use]
pub(crate) struct TaskPublish {
    outer: Option<u32>,
}

impl TaskPublish {
    pub(crate) fn begin() -> Self {
        let depth = user_code_depth();
        Self { outer: of_this_thread(None, |context| context.task_publish.replace(Some(depth))) }
    }

    /// Returns whether the caller is a part of that publish, and not in user code that it has called:
    /// a publish there is one of its own.
    pub(crate) fn is_here() -> bool {
        of_this_thread(false, |context| context.task_publish.get() == Some(context.user_code.get()))
    }
}

impl Drop for TaskPublish {
    fn drop(&mut self) {
        of_this_thread((), |context| context.task_publish.set(self.outer));
    }
}
