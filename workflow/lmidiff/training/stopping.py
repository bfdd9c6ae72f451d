"""Being asked to stop: signals are noted, and the work ends where it can be resumed."""

import select
import signal
import threading
from types import FrameType, TracebackType

#: What schedulers and people send: preemption and time limits, an early warning, Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
BY_LAUNCHER = "by the launcher"


class StopRequest:
    """Within its block, notes a request to stop instead of dying of it; true once there is one.

    A second Ctrl-C interrupts at once. Signals reach only the main thread of a process: in any
    other thread this notes nothing, and signals do what they did before.

    Args:
        lifeline: a file descriptor whose end of file is a request too. A process that was
            started by another reads it to learn that the other asks it to stop, or has died.
    """

    def __init__(self, lifeline: int | None = None) -> None:
        self.reason: str | None = None
        self._lifeline = lifeline
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                before = signal.getsignal(number)
                # What nohup ignores stays ignored; a handler from C could not be put back.
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def __bool__(self) -> bool:
        if self.reason is None and self._lifeline is not None:
            readable, _, _ = select.select([self._lifeline], [], [], 0)
            if readable:  # nothing is ever written to it, so this is its end
                self.reason = BY_LAUNCHER
        return self.reason is not None

    def _note(self, number: int, _: FrameType | None) -> None:
        # Nothing but a note: whatever the signal broke into, it may be half done.
        if number == signal.SIGINT and self.reason is not None:
            raise KeyboardInterrupt
        self.reason = signal.Signals(number).name
