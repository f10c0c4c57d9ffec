"""The ComfyUI protocol: what is said (protocol), saying it (client), what a server has (object_info)."""

from __future__ import annotations

import sys

# httpx imports its own command line wherever rich and pygments are installed, which costs a tenth of the time
# until our first request. An entry of None makes that one import fail as if they were not.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
