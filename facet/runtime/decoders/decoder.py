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
from facet.runtime.decoders.limits import MAX_SECONDS, MAX_WAITING_SECONDS
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
    """A process that decodes one picture at a time. It starts at once and is ready a little later."""

    def __init__(self) -> None:
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
        self._ready = False

    def decode(self, buffer: SharedBuffer, request: messages.Request) -> messages.Size:
        """Decode the picture in a buffer into the same buffer, if there is room for it, and return its size.

        Raises:
            PictureError: the picture cannot be used.
            DecoderStopped: the process ended, or was ended because it took longer than :data:`MAX_SECONDS`.
            NoDecoder: the process did not start.
        """
        self._wait_until_ready()
        started, waited_before = time.monotonic(), self._waited()
        try:
            self._socket.settimeout(MAX_SECONDS)
            socket.send_fds(self._socket, [request.encoded()], [buffer.descriptor])
            while (reply := self._received()) is None:
                waited = min(self._waited() - waited_before, MAX_WAITING_SECONDS)
                left = started + MAX_SECONDS + waited - time.monotonic()
                if left <= 0:
                    raise DecoderStopped(f"it took longer than {MAX_SECONDS} s", timed_out=True)
                self._socket.settimeout(left)
        except OSError as error:
            raise self._ended() from error
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

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        self._socket.settimeout(_START_SECONDS)
        try:
            ready = self._socket.recv(messages.MAX_MESSAGE_BYTES) == messages.READY
        except OSError:
            ready = False
        if not ready:
            raise NoDecoder("it does not start")
        self._ready = True

    def _received(self) -> bytes | None:
        """The reply; ``None`` if it does not come in time."""
        try:
            return self._socket.recv(messages.MAX_MESSAGE_BYTES)
        except TimeoutError:
            return None

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
