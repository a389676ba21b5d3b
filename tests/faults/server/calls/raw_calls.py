"""Calls frame by frame, for tests that send what no client of gRPC sends."""

from __future__ import annotations

import base64
import socket
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Self

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes

PATIENCE = 30.0
IDENTIFY = "/facet.v1.RecognitionService/Identify"
DETECT = "/facet.v1.RecognitionService/Detect"
SERVER_INFO = "/facet.v1.ServerService/GetServerInfo"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(slots=True)
class Ended:
    """How a call ended: its trailers, or a reset."""

    headers: dict[str, str] = field(default_factory=dict)
    over: bool = False

    @property
    def code(self) -> grpc.StatusCode | None:
        """The status code; ``None`` if the call was reset without one."""
        return _CODES[int(self.headers["grpc-status"])] if "grpc-status" in self.headers else None

    @property
    def reason(self) -> str:
        """The reason of its ErrorInfo."""
        encoded = self.headers["grpc-status-details-bin"]
        status, info = Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4))), ErrorInfo()
        assert status.details[0].Unpack(info)
        return str(info.reason)


class RawConnection:
    """An HTTP/2 connection to a server.

    Args:
        address: host and port.
        token: sent with every call.
        window: what the server may send on a stream before it is read.
    """

    def __init__(self, address: str, token: str = "", *, window: int = 65_535) -> None:
        host, _, port = address.rpartition(":")
        self._authorization = [("authorization", f"Bearer {token}")] if token else []
        self._socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._http.initiate_connection()
        self._http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self._calls: defaultdict[int, Ended] = defaultdict(Ended)
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def open(self, path: str, *more: tuple[str, str]) -> int:
        """Send the headers of a call, and more of them; returns its stream."""
        stream = self._http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "test"),
            ("te", "trailers"),
        ]
        self._http.send_headers(stream, [*headers, ("content-type", "application/grpc"), *self._authorization, *more])
        self._flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send bytes on a stream, as fast as the server takes them."""
        view = memoryview(data)
        while view:
            room = min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size, len(view))
            if not room:
                self.receive()
                continue
            self._http.send_data(stream, bytes(view[:room]))
            view = view[room:]
            self._flush()
        if end:
            self._http.end_stream(stream)
            self._flush()

    def answered(self, stream: int) -> None:
        """Wait for the beginning of the answer of a call."""
        while not self._calls[stream].headers:
            self.receive()

    def ended(self, stream: int) -> Ended:
        """Wait for the end of a call."""
        while not self._calls[stream].over:
            self.receive()
        return self._calls[stream]

    def reset(self, stream: int) -> None:
        """Cancel a call."""
        self._http.reset_stream(stream, 8)
        self._flush()

    def receive(self) -> None:
        """Take what the server sends next; the answers' bytes are not acknowledged.

        Raises:
            TimeoutError: it sends nothing.
            EOFError: it has closed the connection.
        """
        data = self._socket.recv(65_536)
        if not data:
            raise EOFError
        for event in self._http.receive_data(data):
            self._note(event)
        self._flush()

    def _note(self, event: Event) -> None:
        match event:
            case ResponseReceived(stream_id=int(stream)) | TrailersReceived(stream_id=int(stream)):
                self._calls[stream].headers.update((str(name), str(value)) for name, value in event.headers)
            case StreamEnded(stream_id=int(stream)) | StreamReset(stream_id=int(stream)):
                self._calls[stream].over = True

    def _flush(self) -> None:
        self._socket.sendall(self._http.data_to_send())


def framed(message: Message | bytes) -> bytes:
    """A message as gRPC frames it."""
    data = message if isinstance(message, bytes) else message.SerializeToString()
    return struct.pack(">BI", 0, len(data)) + data
