"""Points in time as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc(seconds: int) -> str:
    """Return Unix *seconds* as `2026-11-30 12:00:00 UTC`, or as a number where no calendar has that day."""
    try:
        return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:
        return f"{seconds} s after 1970"
