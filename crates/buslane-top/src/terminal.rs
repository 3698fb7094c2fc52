//! The terminal: the alternate screen in raw mode, and how it is restored in every case.

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use std::io::{self, BufWriter, IsTerminal, Stdout, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

/// Bytes that a frame takes in one write. A greater one takes several.
const FRAME: usize = 64 * 1024;

/// Whether the terminal shows the screen of this program.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// The screen of the program. Its drop restores the terminal.
pub(crate) struct Screen {
    // Standard output itself writes in parts of 1024 bytes: parts of a frame would be visible.
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Switches the terminal to the alternate screen and to raw mode.
    ///
    /// A panic of any thread restores the terminal, is reported, and ends the process: a screen whose
    /// source of frames has panicked would show old figures for ever.
    ///
    /// # Errors
    /// When standard output is not a terminal, or refuses.
    pub(crate) fn open() -> io::Result<Self> {
        if !stdout().is_terminal() {
            return Err(io::Error::other("standard output is not a terminal: --once prints one frame"));
        }
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                report(panic);
                std::process::exit(101);
            }));
        });
        IS_OPEN.store(true, Ordering::Relaxed);
        let opened =
            enable_raw_mode().and_then(|()| execute!(stdout(), EnterAlternateScreen)).and_then(|()| {
                let output = BufWriter::with_capacity(FRAME, stdout());
                Terminal::new(CrosstermBackend::new(output))
            });
        opened.map(|terminal| Self { terminal }).inspect_err(|_| restore())
    }

    /// Draws the screen. Only cells that have changed are written.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(crate) fn draw(&mut self, view: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(view).map(drop)
    }

    /// Draws every cell with the next [`draw`](Self::draw), also those that have not changed.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        // `Terminal::clear` asks the terminal for the position of the cursor; the answer would be read
        // by the thread that reads the keys.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal if it shows the screen of this program.
///
/// Errors are left out: the terminal may be gone, and there is nothing else to write them to.
pub(crate) fn restore() {
    if IS_OPEN.swap(false, Ordering::Relaxed) {
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

/// Restores the terminal as far as it is possible in this time: a loop that is blocked in its output
/// holds the lock of the output.
pub(crate) fn restore_within(limit: Duration) {
    // Needs no output.
    let _ = disable_raw_mode();
    let (sender, done) = sync_channel(1);
    let restoring = thread::Builder::new().spawn(move || {
        restore();
        let _ = sender.send(());
    });
    if restoring.is_ok() {
        let _ = done.recv_timeout(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::Screen;
    use crate::tmux::Terminal;
    use std::thread;

    /// Marks the process that panics.
    const CHILD: &str = "BUSLANE_TEST_PANIC";

    #[test]
    fn panic_of_a_thread_restores_the_terminal() {
        if std::env::var_os(CHILD).is_some() {
            panic_on_the_screen();
        }
        let program = std::env::current_exe().unwrap();
        let marker = format!("{CHILD}=1");
        let test = "terminal::tests::panic_of_a_thread_restores_the_terminal";
        let command = ["env", &marker, program.to_str().unwrap(), test, "--exact", "--nocapture"];
        let Some(terminal) = Terminal::start(100, 24, &command) else { return };
        let screen = terminal.wait_for("exit code 101");
        assert!(screen.contains("restored") && screen.contains("a planted panic"), "{screen}");
        assert_eq!((terminal.is_alternate(), terminal.has_cursor()), (false, true), "{screen}");
    }

    fn panic_on_the_screen() -> ! {
        let mut screen = Screen::open().unwrap();
        screen.draw(|frame| frame.render_widget("drawn", frame.area())).unwrap();
        thread::spawn(|| panic!("a planted panic"));
        // The panic of the other thread ends the process.
        loop {
            thread::park();
        }
    }
}
