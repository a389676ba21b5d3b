"""One decoder process, seen from the pool."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from facet.runtime.decoders import messages
from facet.runtime.decoders.shared_buffer import SharedBuffer

_START_SECONDS = 60.0
_END_SECONDS = 2.0
_PIPE_BYTES = 64 * 2**10
_MAX_OUTPUT = 1000
"""Characters of a library's lines that are kept of one picture."""


class DecoderStopped(Exception):
    """The process is gone.

    Attributes:
        timed_out: whether it was stopped because it took too long.
        killed: whether somebody else ended it, for example the system, because memory ran out.
    """

    def __init__(self, message: str, *, timed_out: bool, killed: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.killed = killed


class NoDecoder(OSError):
    """The machine cannot start a decoder, or ends it. It lacks memory or processes, and no picture is at fault."""

    def __init__(self, detail: str) -> None:
        super().__init__(errno.EAGAIN, detail)


class Decoder:
    """A process that decodes one picture at a time. It starts at once and is ready a little later.

    Args:
        niceness: how much it yields to others that want the processor, 0 to 19; see nice(2).
        max_waiting_seconds: limit of the time in which the machine gives it no processor; it does not count.
    """

    def __init__(self, *, niceness: int = 0, max_waiting_seconds: float = 0.0) -> None:
        self._max_waiting_seconds = max_waiting_seconds
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._output, output = os.pipe()
        # The libraries' lines wait here. If there are too many, the process drops them and does not wait.
        os.set_blocking(output, False)
        os.set_blocking(self._output, False)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, and the number of a descriptor
                [sys.executable, "-P", "-m", "facet.runtime.decoders.child", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C in a terminal reaches every process of a group, and the server may still need its decoders.
                start_new_session=True,
                # Decoders see bytes of strangers, and the environment may hold the server's token.
                env={name: value for name, value in os.environ.items() if not name.startswith("FACET_")}
                | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
            )
        except BaseException:
            self._socket.close()
            os.close(self._output)
            raise
        finally:
            theirs.close()
            os.close(output)
        # Here and not in the process, which would import its libraries before.
        os.setpriority(os.PRIO_PROCESS, self.pid, min(19, os.getpriority(os.PRIO_PROCESS, 0) + niceness))
        self._created = time.monotonic()
        self._ready = self.abandoned = False
        self._started = self._max_seconds = self._waited_before = 0.0

    def wait_until_ready(self, seconds: float) -> bool:
        """Wait for at most this time; returns whether the process is ready for pictures.

        Raises:
            NoDecoder: it did not start.
        """
        if self._ready:
            return True
        self._socket.settimeout(seconds)
        try:
            self._ready = self._socket.recv(messages.MAX_MESSAGE_BYTES) == messages.READY
        except TimeoutError:
            if time.monotonic() < self._created + _START_SECONDS:
                return False
        except OSError:
            pass
        if not self._ready:
            raise NoDecoder("it does not start")
        return True

    def start(self, buffer: SharedBuffer, request: messages.Request, max_seconds: float) -> None:
        """Begin to decode the picture in a buffer into the same buffer, if there is room for it; see :meth:`result`.

        Args:
            buffer: the encoded picture.
            request: what to do with it.
            max_seconds: time after which the process is taken to hang.

        Raises:
            DecoderStopped: the process has ended.
        """
        self._started, self._max_seconds, self._waited_before = time.monotonic(), max_seconds, self._waited()
        try:
            self._socket.settimeout(max_seconds)
            socket.send_fds(self._socket, [request.encoded()], [buffer.descriptor])
        except OSError as error:
            raise self._ended() from error

    def result(self, seconds: float) -> messages.Size | None:
        """Wait for at most this time for the size of the picture; ``None`` if there is no reply yet.

        Raises:
            PictureError: the picture cannot be used.
            DecoderStopped: the process has ended, or takes too long.
        """
        try:
            reply = self._received(0.0)  # a reply that is there counts, however late somebody asks for it
            if reply is None:
                reply = self._received(min(seconds, self._left()))
        except OSError as error:
            raise self._ended() from error
        if reply is None:
            return None
        if not reply:
            raise self._ended()
        return messages.size_of(reply)

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def output(self) -> str:
        """What libraries have written to standard error since the last call; at most some of it."""
        try:
            written = os.read(self._output, _PIPE_BYTES)
        except BlockingIOError:
            return ""
        return written.decode(errors="replace").strip()[:_MAX_OUTPUT]

    def abandon(self) -> None:
        """Stop the process without waiting for its end, because nobody wants its picture any more."""
        self.abandoned = True
        self._process.kill()

    def hang_up(self) -> None:
        """Let the process end by itself, because nobody needs it."""
        self._socket.close()

    def close(self) -> None:
        """Hang up, wait until the process has ended, and end it if it does not."""
        self.hang_up()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._socket.close()
        if self._output >= 0:
            os.close(self._output)
            self._output = -1

    def _received(self, seconds: float) -> bytes | None:
        """The next message, empty if the process has ended; ``None`` if none comes within this time."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(messages.MAX_MESSAGE_BYTES)
        except (TimeoutError, BlockingIOError):
            return None

    def _left(self) -> float:
        """Seconds, more than 0, until the process has taken too long."""
        left = self._started + self._max_seconds - time.monotonic()
        if left <= 0:
            left += min(self._waited() - self._waited_before, self._max_waiting_seconds)
        if left <= 0:
            raise DecoderStopped(f"it took longer than {self._max_seconds:.1f} s", timed_out=True)
        return left

    def _waited(self) -> float:
        """Seconds in which the process could have run and the machine gave it no processor; 0 if unknown."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    def _ended(self) -> DecoderStopped:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        code = self._process.returncode
        return DecoderStopped(f"exit code {code}", timed_out=code == -signal.SIGPROF, killed=code == -signal.SIGKILL)
