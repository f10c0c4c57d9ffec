"""The key of comfy.org: for which server there is one."""

from __future__ import annotations

from runner.comfy.credentials import comfy_key, credentials_for

KEY = "comfyui-0123456789"


def test_it_travels_over_tls_or_to_this_machine_only() -> None:
    """Elsewhere it is not sent, and the reason says what to do; other jobs are not stopped by that."""
    values = {"ANIMERUN_COMFY_API_KEY": KEY}
    kept = comfy_key("http://192.0.2.1:8188", values)

    assert comfy_key("https://gpu.example", values).value == KEY
    assert comfy_key("http://127.0.0.1:8188", values).value == KEY
    assert comfy_key("http://192.0.2.1:8188", values, allow_plain_http=True).value == KEY
    assert (kept.value, "would travel unencrypted" in kept.why_not) == ("", True)
    assert credentials_for("http://192.0.2.1:8188", values).comfy_key == ""


def test_it_stands_beside_what_opens_the_door() -> None:
    """Both are sent, both are hidden, neither is shown."""
    values = {"ANIMERUN_COMFY_API_KEY": KEY, "ANIMERUN_TOKEN": "door-123456"}
    found = credentials_for("https://gpu.example", values)

    assert (found.comfy_key, found.name) == (KEY, "ANIMERUN_TOKEN")
    assert found.secrets.hide(f"{KEY} door-123456") == "*** ***"
    assert KEY not in repr(found) + repr(comfy_key("https://gpu.example", values))


def test_an_empty_one_for_a_host_means_none_there() -> None:
    """As with the others, the name that says most wins."""
    values = {"ANIMERUN_COMFY_API_KEY": KEY, "ANIMERUN_COMFY_API_KEY_GPU_EXAMPLE": ""}

    assert comfy_key("https://gpu.example", values).value == ""
    assert comfy_key("https://other.example", values).value == KEY
