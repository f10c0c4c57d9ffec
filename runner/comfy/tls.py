"""Whom to trust over TLS: the system, a file of one's own, or, when a person insists, anybody."""

from __future__ import annotations

import ssl
from pathlib import Path

from runner.errors import UsageError


def trust(*, ca_file: Path | None = None, allow_insecure_tls: bool = False) -> ssl.SSLContext:
    """Return what HTTP and WebSockets check a server's certificate with.

    Args:
        ca_file: Certificates (PEM) to trust beside the system's: of a company, or the server's own.
        allow_insecure_tls: Check nothing: whoever stands in between can read and change everything.

    Raises:
        UsageError: The file is not there or holds no certificate.

    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            what = (
                "there is no such file"
                if isinstance(error, FileNotFoundError)
                else "it holds no PEM certificate"
            )
            raise UsageError(f"ca_file: {ca_file}: {what}") from error
    if allow_insecure_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def untrusted(error: BaseException) -> str:
    """Return why a certificate was refused, as *error* or what led to it says; empty when that is not it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen.verify_message or str(seen)
        seen = seen.__cause__ or seen.__context__
    return ""
