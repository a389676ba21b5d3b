"""Tells the service manager that started this process how the server is doing (sd_notify(3) of systemd)."""

from __future__ import annotations

import os
import socket

import structlog

READY, STOPPING = "READY=1", "STOPPING=1"
SOCKET_VARIABLE = "NOTIFY_SOCKET"

_log = structlog.get_logger("facet.server")


def notify(state: str) -> None:
    """Send a state to the socket that NOTIFY_SOCKET names; without it, nobody wants to know."""
    name = os.environ.get(SOCKET_VARIABLE, "")
    if not name:
        return
    address = f"\0{name[1:]}" if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to_manager:
            to_manager.connect(address)
            to_manager.sendall(state.encode())
    except OSError as error:
        _log.warning("the service manager cannot be told", state=state, problem=error.strerror)
