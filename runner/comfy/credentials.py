"""Server addresses and what a server asks for at its door. Nothing here reads the environment.

The mapping handed in holds environment names and values. Understood, for a server `https://gpu.example:8443`:

    ANIMERUN_TOKEN       Authorization: Bearer …
    ANIMERUN_BASIC       user:password, sent as Authorization: Basic …
    ANIMERUN_HEADER      one header as written, like `X-Api-Key: …`

each of them for one host only with `_` and the host behind it, in capitals, everything that is not a letter
or a digit turned to `_`: `ANIMERUN_TOKEN_GPU_EXAMPLE_8443`, else `ANIMERUN_TOKEN_GPU_EXAMPLE`. The name that
says most wins; an empty value means none. Of the three kinds one may be given per server.

    ANIMERUN_COMFY_API_KEY   the key of comfy.org for API nodes, `extra_data.api_key_comfy_org`

opens no door: it is named for one host in the same way, and goes with the submissions that need it. Where it
would travel unencrypted it is not sent, and preflight says so to whoever needs it.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

from runner.errors import UsageError
from runner.text.secrets import Secrets

_KINDS = ("TOKEN", "BASIC", "HEADER")
_KEY = "COMFY_API_KEY"
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PORTS = {"http": 80, "https": 443}
_SECRET = re.compile(r"token|key|secret|auth|pass|sig", re.IGNORECASE)
"""Names in a query whose values let somebody in."""


_LAST_PORT = 65_535
_FORM = "--server http://host:8188"


def normalise_url(text: str) -> str:
    """Return *text* as `scheme://host[:port][/path]`: `http://` where no scheme is written, no last slash.

    Raises:
        UsageError: other schemes, `user:pass@`, a query, a fragment, no host, a port out of range.
    """
    written = text.strip()
    parts = _split(written if "://" in written else f"http://{written}", shown=without_secrets(written))
    path = parts.path.rstrip("/").removesuffix("/api")
    return urlunsplit((parts.scheme.lower(), parts.netloc.lower(), path, "", ""))


def place_of(url: str) -> tuple[str, str, int, str]:
    """Return where a normalised *url* leads: two spellings of this machine are one place.

    Other names are not resolved: behind one address a proxy may serve a ComfyUI for each name.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    here = host in ("localhost", "127.0.0.1", "::1")
    return parts.scheme, "localhost" if here else host, parts.port or _PORTS[parts.scheme], parts.path


def distinct(servers: Iterable[str]) -> tuple[str, ...]:
    """Return *servers*, normalised, each place once and as it was spelled first."""
    found: dict[tuple[str, str, int, str], str] = {}
    for url in map(normalise_url, servers):
        found.setdefault(place_of(url), url)
    return tuple(found.values())


def spelled(url: str, servers: Iterable[str]) -> str:
    """Return *url* as it is spelled among *servers*, unchanged where none of them is the same place."""
    return next((each for each in servers if place_of(each) == place_of(url)), url)


def _split(url: str, *, shown: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        at = "its port is no number from 0 to 65535" if "ort " in str(error) else "its host cannot be read"
        raise UsageError(f"{shown} is not a server address: {at}", hint=_FORM) from error
    if "@" in parts.netloc:
        raise UsageError(
            f"{shown}: a password does not belong in an address",
            hint="ANIMERUN_BASIC=user:password animerun …",
        )
    if parts.scheme.lower() not in _PORTS:
        raise UsageError(f"{shown}: only http and https are understood", hint=_FORM)
    if parts.hostname and parts.hostname.isdecimal() and int(parts.hostname[:6]) <= _LAST_PORT:
        # As an address it would be one of 0.0.0.0/16, which is nobody's.
        raise UsageError(f"{shown} is a port without a host", hint=f"--server 127.0.0.1:{parts.hostname}")
    if not parts.hostname or any(ch.isspace() for ch in url):
        raise UsageError(f"{shown} is not a server address", hint=_FORM)
    if parts.query or parts.fragment:
        raise _pasted(parts, shown)
    return parts


def _pasted(parts: SplitResult, shown: str) -> UsageError:
    """Return what is wrong with the address of a page, as a browser has it, and how to write the server's."""
    place = urlunsplit((parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/"), "", ""))
    key = next((name for name, _ in parse_qsl(parts.query) if _SECRET.search(name)), "")
    if key:
        return UsageError(
            f"{shown}: `{key}` does not belong in an address, where logs and records keep it",
            hint=f"--server {place} with ANIMERUN_TOKEN=… in the environment (sent as a bearer token), "
            "or ANIMERUN_HEADER='Name: value' where the server wants another header",
        )
    return UsageError(f"{shown} is the address of a page, not of a server", hint=f"--server {place}")


def without_secrets(url: str) -> str:
    """Return *url* with whatever stands before an `@` in it left out, and the values of its query."""
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    host, slash, path = rest.partition("/")
    whole, hash_, fragment = f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}".partition("#")
    place, asks, query = whole.partition("?")
    return place + asks + re.sub(r"=[^&]*", "=…", query) + hash_ + re.sub(r"=[^&]*", "=…", fragment)


def is_loopback(url: str) -> bool:
    """Tell whether *url* can only mean this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Credentials:
    """What goes into each request to one origin; never shown."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    name: str = ""
    """The environment name it came from, for messages; empty when there is none."""
    secrets: Secrets = field(default_factory=Secrets, repr=False, compare=False)
    """Takes what goes into the requests out of what comes back."""
    comfy_key: str = field(default="", repr=False)
    """The key of comfy.org, for submissions with API nodes; empty when there is none for this server."""

    def __repr__(self) -> str:
        """Show that there is something, not what."""
        return f"Credentials({self.name}=***)" if self.headers else "Credentials()"

    __str__ = __repr__


def credentials_for(url: str, values: Mapping[str, str], *, allow_plain_http: bool = False) -> Credentials:
    """Return what *values* hold for the server at *url* (normalised); empty when they hold nothing for it.

    Raises:
        UsageError: two kinds for one server, a malformed value, or one that would travel unencrypted.
    """
    name, kind = _choose(url, values)
    key = comfy_key(url, values, allow_plain_http=allow_plain_http).value
    if not name:
        return Credentials(secrets=Secrets((key,) if key else ()), comfy_key=key)
    if _is_open(url) and not allow_plain_http:
        raise UsageError(
            f"{name} would travel unencrypted to {url}",
            hint="use https://, or allow it with allow_plain_http = true in animerun.toml",
        )
    value = values[name].strip()
    parts = (*_secret_parts(kind, value), *((key,) if key else ()))
    return Credentials(_headers(kind, value, name), name, Secrets(parts), key)


@dataclass(frozen=True, slots=True)
class ComfyKey:
    """The key of comfy.org for one server, or why there is none; never shown."""

    value: str = field(default="", repr=False)
    why_not: str = ""


def comfy_key(url: str, values: Mapping[str, str], *, allow_plain_http: bool = False) -> ComfyKey:
    """Return the key of comfy.org that *values* hold for the server at *url* (normalised)."""
    names = (f"ANIMERUN_{_KEY}{suffix}" for suffix in (*_suffixes(url), ""))
    name = next((each for each in names if each in values), "")
    value = values[name].strip() if name else ""
    if not value:
        return ComfyKey(why_not=f"set ANIMERUN_{_KEY}")
    if _is_open(url) and not allow_plain_http:
        advice = "use https://, or allow it with allow_plain_http = true in animerun.toml"
        return ComfyKey(why_not=f"{name} would travel unencrypted; {advice}")
    return ComfyKey(value)


def _is_open(url: str) -> bool:
    """Tell whether others can read what is sent to *url*."""
    return urlsplit(url).scheme != "https" and not is_loopback(url)


def secrets_of(values: Mapping[str, str]) -> Secrets:
    """Return what hides every credential among *values*, environment names and what they hold."""
    every = (*_KINDS, _KEY)
    kinds = ((kind, value) for name, value in values.items() for kind in every if _is_kind(name, kind))
    return Secrets(part for kind, value in kinds for part in _secret_parts(kind, value.strip()))


def _is_kind(name: str, kind: str) -> bool:
    return name == f"ANIMERUN_{kind}" or name.startswith(f"ANIMERUN_{kind}_")


def _secret_parts(kind: str, value: str) -> tuple[str, ...]:
    behind = value.partition(":")[2].strip()
    return (value,) if kind in ("TOKEN", _KEY) else (behind,) if kind == "HEADER" else (value, behind)


def _choose(url: str, values: Mapping[str, str]) -> tuple[str, str]:
    for suffix in (*_suffixes(url), ""):
        named = [(name, kind) for kind in _KINDS if (name := f"ANIMERUN_{kind}{suffix}") in values]
        found = [each for each in named if values[each[0]].strip()]
        if len(found) > 1:
            raise UsageError(f"{found[0][0]} and {found[1][0]} are both set; keep one")
        if named:
            return found[0] if found else ("", "")
    return "", ""


def _suffixes(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    host = re.sub(r"[^A-Z0-9]", "_", (parts.hostname or "").upper())
    return f"_{host}_{parts.port or _PORTS[parts.scheme]}", f"_{host}"


def _headers(kind: str, value: str, name: str) -> dict[str, str]:
    if not value.isascii() or not value.isprintable():
        raise UsageError(f"{name} holds characters that cannot stand in a header")
    match kind:
        case "TOKEN":
            return {"Authorization": f"Bearer {value}"}
        case "BASIC":
            if ":" not in value:
                raise UsageError(f"{name} must look like user:password")
            return {"Authorization": f"Basic {base64.b64encode(value.encode()).decode()}"}
        case _:
            header, mark, content = value.partition(":")
            if not mark or not _HEADER_NAME.fullmatch(header) or not content.strip():
                raise UsageError(f"{name} must look like `X-Api-Key: …`")
            return {header: content.strip()}
