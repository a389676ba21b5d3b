"""Decodes pictures in processes of their own: they can be stopped, and their memory is limited."""

from __future__ import annotations

from facet.runtime.decoders.pool import DecoderEvent, DecoderPool

__all__ = ["DecoderEvent", "DecoderPool"]
