"""What all sections of the configuration share."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section: frozen, without unknown settings; the docstring of a setting is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach an address: ``localhost``, or a loopback IP address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
