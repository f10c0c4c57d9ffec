from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.diff import Counts, Group, Picture, RunDiff, Side, Times
from runner.diff.annotations import error
from runner.diff.cases import cases
from runner.diff.gate import CONDITIONS, DEFAULT, Policy, judge, read_policy
from runner.diff.junit import Case, Trouble, junit
from runner.errors import UsageError

SIDE = Side(name="a", run="a", kind="run", folder="runs/a")
KEYS = ("ep/s/take=1",)


def diff(*groups: Group, **more: Any) -> RunDiff:
    return RunDiff(a=SIDE, b=SIDE, counts=Counts(), groups=groups, **more)


def look(kind: Any) -> Group:
    return Group(kind="pixels", cause="", jobs=2, keys=KEYS, look=kind)


@pytest.mark.parametrize(
    ("fail_on", "states", "compared", "missing", "tripped"),
    [
        ("missing", {}, diff(), 3, ["missing"]),
        ("failed,waiting", {"failed": (1, KEYS), "waiting": (2, KEYS)}, None, 0, ["failed", "waiting"]),
        ("missing", {"failed": (1, KEYS), "waiting": (2, KEYS)}, diff(), 0, []),
        ("changed", {}, diff(look("changed"), look("near")), 0, ["changed"]),
        ("changed", {}, diff(look("ungraded")), 0, ["changed"]),
        ("changed", {}, diff(look("near")), 0, []),
        ("near", {}, diff(look("near"), look("changed")), 0, ["near"]),
        ("slower:1.5", {}, diff(times=Times(jobs=1, before_s=2, after_s=3.01)), 0, ["slower"]),
        ("slower:1.5", {}, diff(times=Times(jobs=1, before_s=2, after_s=3)), 0, []),
        ("slower:1.5", {}, diff(), 0, []),
        ("near", {}, diff(Group(kind="removed", cause="s", jobs=1, keys=KEYS)), 0, []),
    ],
)  # fmt: skip
def test_what_trips(fail_on: str, states: Any, compared: Any, missing: int, tripped: list[str]) -> None:
    """Only what the policy names trips, and every condition is told by what it is about."""
    verdict = judge(read_policy(fail_on), states, compared, (missing, KEYS))

    assert [finding.condition for finding in verdict.findings] == tripped
    assert verdict.passed == (not tripped)


@pytest.mark.parametrize("code", [70, 7, 6, 130, 143, 4, 8, 1])
def test_the_gate_comes_last(code: int) -> None:
    """Every other exit code comes before the 9 of a gate."""
    tripped = judge(DEFAULT, {}, diff(), (1, KEYS))

    assert tripped.exit_code(code) == code
    assert tripped.exit_code(0) == 9
    assert judge(DEFAULT, {}, diff(), (0, ())).exit_code(0) == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("chnaged", "did you mean `changed`"),
        ("", "names nothing"),
        ("slower", "slower:1.5"),
        ("near:2", "alone"),
        ("slower:fast", "factor"),
        ("slower:0.5", "at least 1"),
        ("slower:inf", "factor"),
        ("slower:nan", "factor"),
    ],
)
def test_a_wrong_policy_is_told(text: str, told: str) -> None:
    """What cannot be meant is refused with what to write."""
    with pytest.raises(UsageError, match=told):
        read_policy(text)


def test_a_policy_is_read() -> None:
    """Blanks do not matter, and every condition there is can be named."""
    found = read_policy(" missing, slower:1.5 ,near")

    assert found == Policy(conditions=frozenset({"missing", "slower", "near"}), slower=1.5)
    assert read_policy(",".join(CONDITIONS).replace("slower", "slower:2")).conditions == set(CONDITIONS)
    assert not read_policy("failed,waiting").needs_baseline


@given(st.text(), st.text(), st.text())
def test_any_text_is_well_formed_in_junit(key: str, message: str, suite: str) -> None:
    """Whatever a server says, the report can be read and says it, XML's forbidden characters left out."""
    trouble = Trouble(tag="failure", kind="X", message=message, lines=(message,))
    text = "".join(
        junit("n", [Case(key=key, suite=suite, trouble=trouble), Case(key=key, suite=suite, note=message)])
    )
    root = ElementTree.fromstring(text.encode("utf-8", "replace"))
    [failed, passed] = root.iter("testcase")
    kept = "".join(
        ch
        for ch in message
        if ch in "\t\n\r" or " " <= ch <= "\ud7ff" or "\ue000" <= ch <= "\ufffd" or ch > "\uffff"
    )

    assert failed.find("failure").get("message") == kept  # type: ignore[union-attr]
    assert (passed.findtext("system-out") or "") == kept.replace("\r\n", "\n").replace("\r", "\n")


def test_suites_count_their_cases() -> None:
    """A suite for each scene and cut in the order of the jobs, with its counts and seconds."""
    made = [
        Case(key="1", suite="s/a", seconds=1.5),
        Case(key="2", suite="s/a", seconds=2, trouble=Trouble(tag="failure", kind="OOM", message="m")),
        Case(key="3", suite="s/b", trouble=Trouble(tag="skipped", kind="waiting", message="m")),
        Case(key="4", suite="s/b", trouble=Trouble(tag="error", kind="pending", message="m")),
    ]
    root = ElementTree.fromstring("".join(junit("run", made)))

    assert [dict(suite.attrib) for suite in root] == [
        {"name": "s/a", "tests": "2", "failures": "1", "errors": "0", "skipped": "0", "time": "3.500"},
        {"name": "s/b", "tests": "2", "failures": "0", "errors": "1", "skipped": "1", "time": "0.000"},
    ]


def row(state: str, key: str = "ep/s/take=1") -> dict[str, Any]:
    return {"key": key, "scene": "s", "cut": "c", "place": "a.yaml:3", "state": state, "code": "OOM",
            "message": "no memory", "took": 2.0, "waits": "a pick"}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "kind", "fail_on", "tag"),
    [
        ("succeeded", None, "changed", None),
        ("succeeded", "changed", "changed", "failure"),
        ("succeeded", "ungraded", "changed", "failure"),
        ("succeeded", "changed", "near", None),
        ("succeeded", "near", "changed", None),
        ("succeeded", "near", "near", "failure"),
        ("succeeded", "same", "changed,near", None),
        ("failed", None, "changed", "failure"),
        ("waiting", None, "changed", "skipped"),
        ("waiting", None, "waiting", "failure"),
        ("cancelled", None, "changed", "error"),
    ],
)
def test_a_case_follows_the_policy(state: str, kind: Any, fail_on: str, tag: str | None) -> None:
    """A case is red for what trips the gate or failed, and names both pictures either way."""
    found = (
        ()
        if kind is None
        else (Picture(key=KEYS[0], node="out", index=0, before="x.png", after="y.png", kind=kind),)
    )
    [case] = cases([row(state)], [], diff(pictures=found), read_policy(fail_on))

    assert (case.trouble.tag if case.trouble else None) == tag
    told = "\n".join(case.trouble.lines) if case.trouble else case.note
    if kind not in (None, "same"):
        assert "baseline: runs/a/x.png" in told
        assert "this run: runs/a/y.png" in told


def test_what_is_gone_is_a_case_of_its_own() -> None:
    """A job that only the baseline has fails in a suite that says so."""
    [case] = cases([], [row("succeeded")], diff(), DEFAULT)

    assert case.suite == "s/c (missing)"
    assert case.trouble is not None
    assert case.trouble.tag == "failure"


def test_an_annotation_is_one_line() -> None:
    """Newlines, percents, colons and commas cannot end a property or begin another command."""
    line = error("100%\r\n::error::x", title="a,b:c", file="specs/a.yaml", line=3)

    assert line == "::error file=specs/a.yaml,line=3,title=a%2Cb%3Ac::100%25%0D%0A::error::x"
    assert error("x", line=3) == "::error::x"
