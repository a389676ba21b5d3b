"""The TCP connections that this process has accepted, on Linux: what the kernel knows of each, and how to end one.

gRPC opens and closes the descriptors and does not say which they are. They are found in ``/proc/self/fd``. Every look
at one works on a duplicate: gRPC may close the descriptor meanwhile, and the process may use its number for a file.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facet.server.connections.activity import Endpoint, endpoint

SUPPORTED = sys.platform == "linux"

_DESCRIPTORS = Path("/proc/self/fd")
_TCP_INFO = struct.Struct("@B127xQ")
"""State and bytes received of ``struct tcp_info``, linux/tcp.h. The kernel only ever adds fields behind them."""
_ESTABLISHED, _CLOSE_WAIT = 1, 8


@dataclass(slots=True)
class Connection:
    """An accepted connection.

    Attributes:
        descriptor: of the process; valid as long as ``inode`` is.
        inode: the socket's, different for each connection.
        client: its client's end.
        received: bytes that the kernel has received, of all kinds, at the last look.
    """

    descriptor: int
    inode: int
    client: Endpoint
    received: int


class Sockets:
    """The connections accepted at a port.

    Args:
        port: the local port.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._known: dict[int, Connection] = {}
        self._others: dict[int, int] = {}

    def connections(self) -> list[Connection]:
        """All that are open now; the same objects as before for those that were. Takes about 10 microseconds each."""
        known: dict[int, Connection] = {}
        others: dict[int, int] = {}
        for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - names, without a Path for each
            descriptor = int(name)
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISSOCK(status.st_mode):
                    continue
                connection = self._known.get(descriptor)
                if connection is not None and connection.inode == status.st_ino:
                    with _duplicate(descriptor) as duplicate:
                        _, connection.received = _TCP_INFO.unpack(_tcp_info(duplicate))
                elif self._others.get(descriptor) == status.st_ino:
                    connection = None
                else:
                    connection = self._accepted(descriptor, status.st_ino)
            except OSError:  # closed meanwhile
                continue
            if connection is None:
                others[descriptor] = status.st_ino
            else:
                known[descriptor] = connection
        self._known, self._others = known, others
        return list(known.values())

    def end(self, connection: Connection) -> bool:
        """End a connection: gRPC sees that the client closed it. Returns whether it was still there."""
        with suppress(OSError), _duplicate(connection.descriptor) as duplicate:
            if os.fstat(duplicate.fileno()).st_ino == connection.inode:
                duplicate.shutdown(socket.SHUT_RDWR)
                return True
        return False

    def _accepted(self, descriptor: int, inode: int) -> Connection | None:
        """The connection of a descriptor; ``None`` if it is another socket.

        Raises:
            OSError: it was closed meanwhile.
        """
        with _duplicate(descriptor) as duplicate:
            name: Any = duplicate.getsockname()
            if not isinstance(name, tuple) or name[1] != self._port:
                return None
            state, received = _TCP_INFO.unpack(_tcp_info(duplicate))
            if state not in (_ESTABLISHED, _CLOSE_WAIT):  # it listens, or is connecting to another server
                return None
            peer: Any = duplicate.getpeername()
            client = endpoint(peer[0], peer[1])
            return None if client is None else Connection(descriptor, inode, client, received)


def _tcp_info(connection: socket.socket) -> bytes:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)


def _duplicate(descriptor: int) -> socket.socket:
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
