# Generated from facet/client/aio/server.py by scripts/generate_client.py; do not edit.
"""The methods of ServerService and of the standard health service."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from google.protobuf.wrappers_pb2 import StringValue

from facet.client.health import ServingStatus
from facet.client.sync.calls import download
from facet.client.sync.connection import Connection
from facet.v1.server_service_pb2 import GetServerInfoRequest, GetServerInfoResponse


class ServerMethods(Connection):
    """Ask what is running, and whether it serves."""

    def get_server_info(self, *, timeout: float | None = None) -> GetServerInfoResponse:
        """Return version, models, embedding contract, limits and latencies of the server.

        Args:
            timeout: seconds the call may take; ``None`` for the client's.
        """
        return self.server.GetServerInfo(GetServerInfoRequest(), timeout=timeout)

    def check_health(self, service: str = "", *, timeout: float | None = None) -> ServingStatus:
        """Ask whether the server serves. This call needs no token.

        Args:
            service: the full name of a service; empty for the server as a whole.
            timeout: seconds the call may take; ``None`` for the client's.

        Raises:
            NotFound: the server has no such service.
        """
        answer = self._health.check(StringValue(value=service), timeout=timeout)
        return ServingStatus(answer.value)

    def watch_health(self, service: str = "", *, timeout: float | None = None) -> Generator[ServingStatus, None, None]:
        """Report whether the server serves, now and whenever that changes.

        Args:
            service: the full name of a service; empty for the server as a whole.
            timeout: seconds to watch; ``None`` for no limit.
        """
        with closing(download(self._health.watch, StringValue(value=service), timeout)) as answers:
            for answer in answers:
                yield ServingStatus(answer.value)
