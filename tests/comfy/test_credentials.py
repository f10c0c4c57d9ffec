"""Addresses as people write them, and secrets that stay secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.comfy.credentials import credentials_for, distinct, normalise_url, spelled
from runner.errors import UsageError


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("host:8188", "http://host:8188"),
        ("127.0.0.1:8188/", "http://127.0.0.1:8188"),
        ("HTTPS://GPU.example/comfy/", "https://gpu.example/comfy"),
        ("http://host:8188/api", "http://host:8188"),
        ("[::1]:8188", "http://[::1]:8188"),
        (" localhost ", "http://localhost"),
    ],
)
def test_an_address_is_understood_as_written(written: str, url: str) -> None:
    """No scheme means http, a path stays, slashes and `/api` at the end go; twice is the same as once."""
    assert normalise_url(written) == url
    assert normalise_url(url) == url


@pytest.mark.parametrize(
    "written",
    [
        "",
        "ftp://host",
        "http://",
        "http://h:99999",
        "http://h/?a=1",
        "http://h/#x",
        "http://me:pw@h",
        "a b:1",
        "http://[::1",
    ],
)
def test_other_addresses_are_usage_errors(written: str) -> None:
    """What cannot be a server is refused with exit code 2, showing no password."""
    with pytest.raises(UsageError) as caught:
        normalise_url(written)

    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("written", ["8188", "http://8188", " 8188/ "])
def test_a_port_alone_is_no_address(written: str) -> None:
    """It would be a host of 0.0.0.0/16; the message writes the address of this machine with that port."""
    with pytest.raises(UsageError, match="is a port without a host") as caught:
        normalise_url(written)

    assert caught.value.hint == "--server 127.0.0.1:8188"


@pytest.mark.parametrize(
    ("pasted", "said", "hint"),
    [
        ("http://127.0.0.1:8188/#/flow", "the address of a page", "--server http://127.0.0.1:8188"),
        ("https://gpu.example/comfy/?view=1", "the address of a page", "--server https://gpu.example/comfy"),
        ("http://h:1/?token=hunter2", "`token` does not belong in an address", "ANIMERUN_TOKEN=…"),
        ("h:1?a=b&api_key=hunter2#x=hunter2", "`api_key` does not belong", "ANIMERUN_HEADER='Name: value'"),
        ("http://h:1/?next=http://h&sig=hunter2", "`sig` does not belong", "--server http://h:1 with"),
    ],
)
def test_an_address_pasted_from_a_browser_is_answered_with_the_servers(
    pasted: str, said: str, hint: str
) -> None:
    """The address to write is given, and where a secret belongs; the secret itself is not repeated."""
    with pytest.raises(UsageError, match=said) as caught:
        normalise_url(pasted)

    assert hint in (caught.value.hint or "")
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    """Nothing else is ever raised."""
    try:
        assert normalise_url(text).startswith(("http://", "https://"))
    except UsageError:
        return


SERVER = "https://gpu.example:8443"


@pytest.mark.parametrize(
    ("values", "headers"),
    [
        ({}, {}),
        ({"ANIMERUN_TOKEN": ""}, {}),
        ({"ANIMERUN_TOKEN": "t"}, {"Authorization": "Bearer t"}),
        ({"ANIMERUN_BASIC": "me:pw"}, {"Authorization": "Basic bWU6cHc="}),
        ({"ANIMERUN_HEADER": "X-Api-Key: k: 1"}, {"X-Api-Key": "k: 1"}),
        (
            {"ANIMERUN_TOKEN": "all", "ANIMERUN_BASIC_GPU_EXAMPLE": "me:pw"},
            {"Authorization": "Basic bWU6cHc="},
        ),
        (
            {"ANIMERUN_TOKEN_GPU_EXAMPLE": "host", "ANIMERUN_TOKEN_GPU_EXAMPLE_8443": "port"},
            {"Authorization": "Bearer port"},
        ),
        ({"ANIMERUN_TOKEN_OTHER_EXAMPLE": "t"}, {}),
        ({"ANIMERUN_TOKEN": "all", "ANIMERUN_TOKEN_GPU_EXAMPLE": ""}, {}),
        ({"ANIMERUN_BASIC_GPU_EXAMPLE": "me:pw", "ANIMERUN_TOKEN_GPU_EXAMPLE_8443": " "}, {}),
        (
            {"ANIMERUN_TOKEN_GPU_EXAMPLE": "", "ANIMERUN_BASIC_GPU_EXAMPLE": "me:pw"},
            {"Authorization": "Basic bWU6cHc="},
        ),
    ],
)
def test_the_name_that_says_most_wins(values: dict[str, str], headers: dict[str, str]) -> None:
    """Host and port, then host, then all servers; an empty value ends the search and sends nothing."""
    assert credentials_for(SERVER, values).headers == headers


@pytest.mark.parametrize(
    "values",
    [
        {"ANIMERUN_TOKEN": "t", "ANIMERUN_BASIC": "me:pw"},
        {"ANIMERUN_BASIC": "no colon"},
        {"ANIMERUN_HEADER": "no colon"},
        {"ANIMERUN_HEADER": "Bad Name: x"},
        {"ANIMERUN_TOKEN": "line\nbreak"},
    ],
)
def test_what_cannot_be_sent_is_refused_without_showing_it(values: dict[str, str]) -> None:
    """Two kinds at once and malformed values are usage errors that name the variable only."""
    with pytest.raises(UsageError, match="ANIMERUN_") as caught:
        credentials_for(SERVER, values)

    assert not any(value in str(caught.value) for value in values.values() if len(value) > 1)


def test_secrets_do_not_travel_in_the_open() -> None:
    """Plain http to another machine is refused, unless allowed; loopback is this machine."""
    values = {"ANIMERUN_TOKEN": "t"}
    with pytest.raises(UsageError, match="unencrypted"):
        credentials_for("http://gpu.example:8188", values)

    assert credentials_for("http://gpu.example:8188", values, allow_plain_http=True).headers
    assert credentials_for("http://127.0.0.1:8188", values).headers
    assert credentials_for("http://[::1]:8188", values).headers


def test_credentials_do_not_print_themselves() -> None:
    """Neither repr nor str nor a format shows more than the name."""
    held = credentials_for(SERVER, {"ANIMERUN_TOKEN": "s3cret"})

    assert "s3cret" not in f"{held!r} {held} {[held]}"
    assert "ANIMERUN_TOKEN" in repr(held)


def test_spellings_of_this_machine_are_one_server() -> None:
    """localhost, 127.0.0.1 and ::1, with or without a slash or `/api`, are one; the first spelling stays."""
    many = (
        "LOCALHOST:8188",
        "http://127.0.0.1:8188/",
        "http://[::1]:8188/api",
        "http://localhost:8189",
        "gpu2:8188",
    )

    assert distinct(many) == ("http://localhost:8188", "http://localhost:8189", "http://gpu2:8188")
    assert distinct(("http://localhost", "https://localhost", "http://localhost:80")) == (
        "http://localhost",
        "https://localhost",
    )
    assert spelled("http://127.0.0.1:8188", distinct(many)) == "http://localhost:8188"
    assert spelled("http://10.0.0.9:8188", distinct(many)) == "http://10.0.0.9:8188"
