"""Taking known secrets out of text, in every form in which they travel."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 6
"""Characters; shorter secrets are found everywhere, and hiding them would leave nothing readable."""
HIDDEN: Final = "***"


class Secrets:
    """Hides *values* wherever they stand: as they are, URL-encoded, as JSON writes them, and in base64.

    Base64 is found at any place of a longer encoded text too.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        pattern = "|".join(map(re.escape, longest_first))
        self._text = re.compile(pattern) if forms else None
        self._bytes = re.compile(pattern.encode()) if forms else None

    def hide(self, text: str) -> str:
        """Return *text* with `***` for every secret."""
        return text if self._text is None else self._text.sub(HIDDEN, text)

    def hide_bytes(self, data: bytes) -> bytes:
        """Return *data* with `***` for every secret."""
        return data if self._bytes is None else self._bytes.sub(HIDDEN.encode(), data)

    def found_in(self, data: bytes) -> bool:
        """Tell whether *data* holds a secret."""
        return self._bytes is not None and self._bytes.search(data) is not None


def _forms(value: str) -> set[str]:
    whole = base64.b64encode(value.encode()).decode()
    forms = {value, whole, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1]}
    forms.add(whole.replace("+", "-").replace("/", "_"))
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value.encode()).decode()
        # The first and last characters hold bits of what stands beside the secret.
        core = encoded[-(-8 * before // 6) : 8 * (before + len(value.encode())) // 6]
        forms |= {core, core.replace("+", "-").replace("/", "_")}
    return forms
