"""Why a request came to nothing, in words of the operating system or the library."""

from __future__ import annotations

import os
import ssl

from runner.comfy.protocol import printable
from runner.comfy.tls import untrusted
from runner.errors import Unreachable, Untrusted


def unsent(url: str, error: BaseException, why: str) -> Unreachable:
    """Return the fault for a request of which no byte was sent."""
    if doubt := untrusted(error):
        hint = 'ca_file = "FILE.pem" in animerun.toml trusts the certificates in that file'
        return Untrusted(f"{url} shows a certificate that is not trusted: {printable(doubt)}", hint=hint)
    return Unreachable(f"{url} cannot be reached: {why}")


def cause_of(error: BaseException) -> str:
    """Return what the operating system or the library said first, as it began this *error*."""
    first = _first(error)
    if isinstance(first, ssl.SSLError):
        return f"TLS failed ({printable(first.reason or first, limit=120)}); is its address http://?"
    if isinstance(first, OSError) and first.errno:
        # asyncio puts its own words into strerror; a resolver's codes are negative and its words good.
        return (os.strerror(first.errno) if first.errno > 0 else str(first.strerror)).lower()
    return printable(str(error) or type(error).__name__, limit=200)


def _first(error: BaseException) -> BaseException:
    """Return what led to *error*."""
    first = error
    while (deeper := first.__cause__ or first.__context__) is not None and deeper is not first:
        first = deeper
        if isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
    return first
