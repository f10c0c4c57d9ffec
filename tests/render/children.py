"""Children of the sandbox that lack a wall, or are hostile themselves."""

from __future__ import annotations

MAIN = "from runner.sandbox.child import main; main()"

BARE = f"""
import runner.sandbox.budget, runner.sandbox.environment as environment
runner.sandbox.budget.BUDGET = runner.sandbox.budget.LARGEST_GRAPH = 10**18
environment.MAX_RANGE = environment.MAX_EXPONENT = 10**18
{MAIN}
"""
"""The child without the first wall's budget: only the operating system counts."""

PATIENT = f"import runner.sandbox.wire as wire\nwire.SECONDS = 60.0\n{MAIN}"
"""The child with more time than a slow machine needs: only the first wall refuses."""

ESCAPED = f"""
import runner.sandbox.body as body
class Open(body.JsonEnvironment):
    def __init__(self):
        super().__init__()
        self.filters["python"] = lambda text: str(eval(text))
body.JsonEnvironment = Open
body.lint_body = lambda *trees, **names: []
{MAIN}
"""
"""The child with a sandbox that is broken altogether: `| python` runs Python."""

UNWATCHED = ESCAPED.replace(
    MAIN, f"import runner.sandbox.child as child\nchild._end_at_anything_else = lambda: None\n{MAIN}"
)
"""The same, and nobody listens to what it does: only the operating system refuses."""

_TAKEN = """
import os, struct, time
def dripped():
    os.write(1, said(b't', b'', 999))
    while True:
        time.sleep(0.05)
        os.write(1, b'x')
def said(kind, content, size=None):
    return kind + struct.pack(">I", len(content) if size is None else size) + content
while os.read(0, 2**20):
    {deed}
"""
HOSTILE = {
    "garbage": "os.write(1, b'\\xff' * 100)",
    "a length without end": "os.write(1, said(b't', b'{}', 2**32 - 1))",
    "text without end": "\n    while True: os.write(1, said(b't', b'{}') * 1000)",
    "more than asked": "os.write(1, said(b't', b'{}') + b'x')",
    "an unknown kind": "os.write(1, said(b'z', b'{}'))",
    "always unknown": "os.write(1, said(b'u', b''))",
    "no UTF-8": "os.write(1, said(b't', b'\\xff'))",
    "facts for text": "os.write(1, said(b'f', b'{}'))",
    "mistakes that are none": "os.write(1, said(b'm', b'[]'))",
    "mistakes of another shape": "os.write(1, said(b'm', b'[[1, 2]]'))",
    "mistakes in lists in lists": "os.write(1, said(b'm', b'[' * 100_000))",
    "a mistake that is no text": "os.write(1, said(b'm', b'[[0, 1, {}]]'))",
    "too many mistakes": "os.write(1, said(b'm', b'[' + b'[0, 1, \"\"],' * 200 + b'[0, 1, \"\"]]'))",
    "the end": "os._exit(0)",
    "silence": "time.sleep(60)",
    "half an answer": "os.write(1, said(b't', b'{}', 3)); time.sleep(60)",
    "a drop now and then": "dripped()",
}
"""What a child that was taken over may answer."""


def hostile(deed: str) -> str:
    """Return the program of a child that does *deed* at each request."""
    return _TAKEN.replace("{deed}", HOSTILE[deed])
