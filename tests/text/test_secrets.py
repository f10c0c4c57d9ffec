"""Secrets in every form that a writer of texts may give them."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest

from runner.text.secrets import HIDDEN, Secrets

SECRET = 'c4n4ry+S/of=the&mi"n\\\\e<7> é'
URL = quote(SECRET, safe="")
FORMS = {
    "plain": SECRET,
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON, not ASCII": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "JSON in JSON": json.dumps(json.dumps(SECRET))[3:-3],
    "PHP's JSON": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "Go's JSON": json.dumps(SECRET)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c"),
    ".NET's JSON": json.dumps(SECRET)[1:-1].replace("+", "\\u002B"),
    "all escaped": "".join(f"\\u{ord(ch):04x}" for ch in SECRET),
    "URL": URL,
    "URL, lower case": re.sub("%..", lambda found: found[0].lower(), URL),
    "form": quote_plus(SECRET),
    "URL in URL": quote(URL, safe=""),
    "partly URL": SECRET.replace("&", "%26"),
    "HTML": html.escape(SECRET),
    "HTML in HTML": html.escape(html.escape(SECRET)),
    "numbers": "".join(f"&#{ord(ch)};" for ch in SECRET),
    "hex numbers": "".join(f"&#x{ord(ch):X};" for ch in SECRET),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_hidden(form: str) -> None:
    """And what stands round it stays; in bytes it is found."""
    secrets, text = Secrets([SECRET, "another-one"]), f"<{FORMS[form]}>"

    assert secrets.hide(text) == f"<{HIDDEN}>"
    assert secrets.found_in(text.encode())


@pytest.mark.parametrize("before", range(3))
def test_base64_of_a_longer_text_is_hidden(before: int) -> None:
    """Wherever in it the secret begins: nothing is left that could be decoded to it."""
    whole = base64.b64encode(b"u" * before + SECRET.encode() + b" and more").decode()

    assert HIDDEN in Secrets([SECRET]).hide(whole)


def test_hidden_json_is_still_json() -> None:
    """What is hidden inside a string leaves the string closed."""
    hidden = Secrets([SECRET]).hide(json.dumps({"said": f"a {SECRET} b", "n": 1}))

    assert json.loads(hidden) == {"said": f"a {HIDDEN} b", "n": 1}


def test_in_plain_data_only_texts_are_hidden() -> None:
    """Numbers, and texts that are wholly a word to keep, stay; names of members do too unless asked for."""
    secrets, data = Secrets(["secret", "123456"]), {"my secret": ["a secret", 123456, None, "secret"]}

    assert secrets.hide_in(data) == {"my secret": ["a ***", 123456, None, "***"]}
    assert secrets.hide_in(data, names=True, words={"secret"}) == {
        "my ***": ["a ***", 123456, None, "secret"]
    }
    assert Secrets().hide_in(data) is data


@pytest.mark.parametrize("text", ["", "c4n4ry", "\\u0063", "%63", "&#99;", "c4n4ry+S/of=the"])
def test_a_part_of_it_is_not_it(text: str) -> None:
    """Only the whole is hidden; a short secret would leave nothing readable and is none."""
    assert Secrets([SECRET, "abc"]).hide(f"abc {text}") == f"abc {text}"


@pytest.mark.parametrize("text", ["\\", "&", "&amp;", "%25", "&#0", "c4n4ry"])
def test_what_looks_like_the_beginning_costs_no_time(text: str) -> None:
    """A megabyte of beginnings is read once, not once for each of them."""
    assert Secrets([SECRET]).hide(text * (2**20 // len(text))) == text * (2**20 // len(text))


def test_nothing_to_hide() -> None:
    """Without secrets everything stays as it is, and that can be asked."""
    assert not Secrets()
    assert not Secrets(["short"])
    assert Secrets().hide("x") == "x"
