"""Says why a source cannot be opened: OpenCV does not tell."""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

TIMEOUT_SECONDS = 5.0
"""How long an address may not answer."""

_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
_ENCRYPTED = frozenset({"https", "rtsps"})
_NO_VIDEO = "it answers, but sends no video"


def host_and_port(address: SplitResult) -> str:
    """The host and the port of an address, also if the port is the protocol's own.

    Raises:
        ValueError: the port is no number from 0 to 65535.
    """
    host = address.hostname or ""
    return f"[{host}]:{_port(address)}" if ":" in host else f"{host}:{_port(address)}"


def why_address_fails(text: str, timeout: float = TIMEOUT_SECONDS) -> str:
    """One line for people that says why an address gives no video, without its name and password.

    Connects to it once more. With PyAV (the extra ``camera``) the line also says what the camera answered.

    Args:
        text: the address.
        timeout: how long it may not answer, seconds.
    """
    address = urlsplit(text)
    try:
        socket.create_connection((address.hostname or "", _port(address)), timeout).close()
    except socket.gaierror:
        return f"there is no host {address.hostname}"
    except UnicodeError:
        return "the host's name is invalid"
    except ConnectionRefusedError:
        return "the connection is refused: nothing listens on this port"
    except TimeoutError:
        return f"no connection in {timeout:g} seconds: the host or a firewall does not answer"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if importlib.util.find_spec("av") is None:
        return _NO_VIDEO
    return _why_no_video(text, address, timeout)


def why_file_fails(path: Path) -> str:
    """One line for people that says why a file cannot be played."""
    try:
        with path.open("rb") as file:
            return "it is no video" if file.read(1) else "it is empty"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def why_device_fails(target: int | str) -> str:
    """One line for people that says why a webcam cannot be opened."""
    device = Path(f"/dev/video{target}") if isinstance(target, int) else Path(target)
    if not device.exists():
        return f"there is no {device}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"you may not read {device}"
    return "another program uses it, or it is no camera"


def _port(address: SplitResult) -> int:
    return address.port if address.port is not None else _PORTS[address.scheme.lower()]


def _why_no_video(text: str, address: SplitResult, timeout: float) -> str:
    """Ask once more through FFmpeg's own library, whose errors have kinds."""
    import av

    transport = {"rtsp_transport": "tcp"} if address.scheme.lower().startswith("rtsp") else {}
    began = time.monotonic()
    try:
        with av.open(text, options=transport, timeout=timeout) as container:
            return "its video cannot be decoded" if container.streams.video else _NO_VIDEO
    except av.HTTPUnauthorizedError:
        given = address.username or address.password
        place = host_and_port(address)
        wanted = f"it asks for a name and a password: {address.scheme}://NAME:PASSWORD@{place}/..."
        return f"{'the name or the password is wrong' if given else wanted} ({_status(HTTPStatus.UNAUTHORIZED)})"
    except av.HTTPForbiddenError:
        return f"it does not allow this ({_status(HTTPStatus.FORBIDDEN)})"
    except av.HTTPNotFoundError:
        return f"it has no such path ({_status(HTTPStatus.NOT_FOUND)})"
    except av.HTTPServerError:
        return "it has an error of its own (5xx)"
    except av.HTTPOtherClientError:
        return "it refuses the request (4xx)"
    except (av.HTTPError, av.HTTPClientError) as error:
        return f"it answers with an error: {error.strerror}"
    except (ConnectionError, av.EOFError):
        encrypted = "" if address.scheme.lower() in _ENCRYPTED else f"; does it want {address.scheme}s://?"
        return f"it ends the connection without a picture{encrypted}"
    except av.FFmpegError as error:
        if time.monotonic() - began >= timeout:  # FFmpeg has no kind of its own for this in RTSP
            return f"it takes the connection and sends no video for {timeout:g} seconds"
        if isinstance(error, av.InvalidDataError):
            return "it sends nothing that is video"
        if error.errno == errno.EIO and address.scheme.lower() in _ENCRYPTED:
            return "no encrypted connection: it speaks no TLS, or its certificate is refused"
        return f"{_NO_VIDEO} ({error.strerror})"


def _status(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"
