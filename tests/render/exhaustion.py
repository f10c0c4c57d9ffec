# ruff: noqa: E501 - a table reads better in long rows
"""Templates that would fill the memory or never end, and what tries them.

`python -m tests.render.exhaustion SHARE|all [--bare]` prints a line of JSON for each: its name and what came of it,
`refused` with the message, or else how it broke through; with `all` the processor time of parent and child together,
and the most memory of any child so far. The parent ends at 3 s for one template or 300 MiB above what it began with.
With --bare the child has no budget: only what the operating system counts stops it. Ends with 1 unless each is refused.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha512
from pathlib import Path

from runner.errors import TemplateError
from runner.render import Catalog, render
from runner.sandbox.process import SHARED
from tests.render.children import BARE
from tests.render.samples import FILES, HEAD, USES, values_for

SHARES = 6
"""Into how many parts the templates are dealt, so that several processes can try them."""
SECONDS = 3
MEMORY = 300 * 2**20
_PRIME = 2**61 - 1
"""Python hashes whole numbers modulo this: multiples of it fall into one slot of a map."""


def _list(count: int, item: Callable[[int], str]) -> str:
    return ", ".join(item(number) for number in range(count))


def _name(number: int, differing: int) -> str:
    """Return 80 letters; those of one number are alike but for the last *differing*."""
    return sha512(str(number).encode()).hexdigest()[: 80 - differing] + "z" * differing


def _doubled(value: str, *, times: int = 15, first: str) -> str:
    return f"{{% set n = namespace(x={first}) %}}{{% for i in range({times}) %}}{{% set n.x = {value} %}}{{% endfor %}}"


MACROS = "{% macro a0() %}x{% endmacro %}" + "".join(
    f"{{% macro a{index}() %}}" + f"{{{{ a{index - 1}() }}}}" * 10 + "{% endmacro %}"
    for index in range(1, 30)
)
DOUBLED = "{% set n = namespace(x=['x']) %}{% for a in range(100) %}{% set n.x = VALUE %}{% endfor %}"
MANY = "{% for a in range(9999) %}{% for b in range(9999) %}BODY{% endfor %}{% endfor %}"
BIG = "{% set n = namespace(x='x' * 999999) %}"
LONG = "{% set n = namespace(x=range(9999) | list) %}"

WRITTEN = [
    "{{ 'x' * 1000000000 }}",
    "{{ [0] * 1000000000 }}",
    "{{ 1000000000 * 'x' }}",
    "{{ 2 ** 1000000000 }}",
    "{{ 2 ** 128 ** 128 }}",
    "{{ 10 ** 100 * 10 ** 100 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ range(1000000000) | list }}",
    "{{ range(0, 10, 0) | list }}",
    "{{ range(100000000) | join(',') }}",
    "{{ prompt | replace('', 'x' * 100000) | replace('', 'x' * 100000) }}",
    "{{ 'x' | replace('x', 'x' * 1000000) | replace('x', 'x' * 1000000) }}",
    "{{ range(10000) | join('x' * 100000) }}",
    "{{ 1 | round(1000000000, 'ceil') }}",
    "{{ 1 | round(-1000000000) }}",
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}"
    "{% endfor %}",
    "{% for a in range(10000) %}{% for b in range(10000) %}xxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
    "{% set n = namespace(x='x') %}{% for a in range(100) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='x') %}{% for a in range(100) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x=3) %}{% for a in range(100) %}{% set n.x = n.x * n.x %}{% endfor %}",
    DOUBLED.replace("VALUE", "n.x + n.x"),
    DOUBLED.replace("VALUE", "[n.x, n.x]"),
    DOUBLED.replace("VALUE", "(n.x, n.x)"),
    DOUBLED.replace("VALUE", "{'a': n.x, 'b': n.x}"),
    DOUBLED.replace("VALUE", "[n.x, n.x] | list"),
    "{% set n = namespace(x=[]) %}" + MANY.replace("BODY", "{% set n.x = n.x + [('x' * 9999) | list] %}"),
    MACROS + "{{ a29() }}",
    LONG + MANY.replace("BODY", "{% if n.x == n.x %}{% endif %}"),
    BIG + MANY.replace("BODY", "{% if 'y' in n.x %}{% endif %}"),
    BIG + MANY.replace("BODY", "{% if n.x is eq(n.x ~ '') %}{% endif %}"),
    LONG + MANY.replace("BODY", "{% set y = n.x | max %}"),
    LONG + MANY.replace("BODY", "{% set y = n.x | map('string') | sort | first %}"),
    LONG + MANY.replace("BODY", "{% if n.x | sum %}{% endif %}"),
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% macro a() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "{{ " + "- " * 5000 + "1 }}",
    "{% if steps %}" * 5000 + "{% endif %}" * 5000,
    '{"a":' * 100_000,
    "[" * 100_000,
]

NAMED = {
    "numbers of one hash": "{% for a in range(40) %}{% set x = range(0, "
    + f"{_PRIME * 9999}, {_PRIME}"
    + ") | unique | list %}{% endfor %}",
    "keys of one hash": "{% set x = {" + _list(9000, lambda i: f"{_PRIME * i}: 1") + "} %}",
    "keys that are no text": "{% set x = {" + _list(3000, lambda i: f"(steps, {i}): 1") + "} %}",
    "characters that grow in JSON": "{% set x = '\\x00' * 1000000 %}" + "{{ x }}" * 60,
    "the same in four bytes": "{% set x = '\\x00' * 1000000 ~ '🌸' %}" + "{{ x }}" * 60,
    "wide characters": "{% set x = '🌸' * 1000000 %}" + "{{ x }}" * 60,
    "one wide among narrow": "{% set x = 'x' * 1000000 %}{% macro m() %}{% for i in range(60) %}{{ x }}{% endfor %}🌸{% endmacro %}{{ m() }}",
    "a text as a list": "{% set x = '夕' * 20000000 %}{% set y = x | list %}",
    "a text sorted": "{% set x = ('夕' * 15000000) | sort %}",
    "a text mapped": "{% set x = ('夕' * 15000000) | map('upper') | list %}",
    "a text joined": "{% set x = ('夕' * 15000000) | join %}",
    "a text made unique": "{% set x = ('夕' * 15000000) | unique | list %}",
    "a sum of lists": _doubled("n.x + n.x", first="[[1,2,3,4,5,6,7,8,9]]")
    + "{% set y = n.x | sum(start=[]) %}",
    "a number of 20 million bits": "{% set a = ('f' * 5000000) | int(0, 16) %}{% set b = a * a %}",
    "a power of it": "{% set a = ('f' * 500000) | int(0, 16) %}{% set b = a ** 128 %}",
    "a number that grows by minus": "{% set n = namespace(x=3) %}{% for a in range(9999) %}{% for b in range(20) %}{% set n.x = n.x - (0 - n.x) %}{% endfor %}{% endfor %}",
    "characters to trim": "{% set a = ('x' * 5000000) | trim('y' * 5000000 ~ 'x') %}",
    "keys to sort by": "{% set b = ([{'a': 1}] * 2000) | sort(attribute='a,' * 500000 ~ 'a') %}",
    "keys to sort by, in place": "{% set b = ([{'a': 1}] * 2000) | sort(false, false, 'a,' * 500000 ~ 'a') %}",
    "a path to map": "{% set b = (['xx'] * 2000) | map(attribute='0.' * 500000 ~ '0') | list %}",
    "a path to select by": "{% set b = (['xx'] * 2000) | selectattr('0.' * 500000 ~ '0') | list %}",
    "a key near 60,000 others": "{% set d = {"
    + _list(9000, lambda i: f"'k{i:07}': 1")
    + "} %}{{ d['zzzzzz'] }}",
    "names that are near many": "".join(f"{{{{ unknown{i:06} }}}}" for i in range(40000)),
    "filters that are near": "".join(f"{{{{ prompt|defau{i:06} }}}}" for i in range(4900)),
    "tests that are near": "".join(f"{{{{ prompt is defin{i:05} }}}}" for i in range(4900)),
    "macros that are near": "".join(f"{{{{ lora_chan{i:05}() }}}}" for i in range(4900)),
    "holes in quotes": '"' + "{{ prompt }}" * 60000 + '"',
    "a number of 5,000 digits": "{{ " + "9" * 5000 + " }}",
    "a hexadecimal number": "{% set a = 0x" + "f" * 900000 + " %}{% set b = a * a %}",
    "a number beyond all": "{{ 1e999 }}",
    "25 loops": "{% for a in [1] %}" * 25 + "{% endfor %}" * 25,
    "10,000 elif": "{% if steps %}" + "{% elif steps %}" * 4900 + "{% endif %}",
    "a long sum": "{{ 1" + " + 1" * 20000 + " }}",
    "a long text": "{{ 1" + " ~ 1" * 100000 + " }}",
    "a long condition": "{{ 1" + " and 1" * 20000 + " }}",
    "a long path": "{{ size" + ".a" * 20000 + " }}",
    "filters behind filters": "{{ prompt" + "|trim" * 20000 + " }}",
    "powers of powers": "{{ 2" + " ** 1" * 20000 + " }}",
    "20,000 macros": "".join(f"{{% macro m{i}() %}}{{% endmacro %}}" for i in range(20000)),
    "30,000 variables": "".join(f"{{% set v{i} = 1 %}}" for i in range(30000)),
    "60,000 bad nodes": "{" + ",".join(f'"n{i}": {{}}' for i in range(60000)) + "}",
    "15,000 odd keys": "{"
    + ",".join(f'"n{i}": {{"class_type": "A", "inputs": {{}}, "inpots": 1}}' for i in range(15000))
    + "}",
    "a ring of 14,000": "{"
    + ",".join(
        f'"n{i}": {{"class_type": "A", "inputs": {{"x": ["n{(i + 1) % 14000}", 0]}}}}' for i in range(14000)
    )
    + ', "out": {"class_type": "S", "inputs": {"x": ["n0", 0]}}}',
    "900 lists in a value": '{"out": {"class_type": "S", "inputs": {"x": {"__value__": '
    + "[" * 900
    + "]" * 900
    + "}}}}",
    "a key twice at the end": "{" + ",".join(f'"n{i}": 1' for i in range(70000)) + ', "z": 1, "z": 1}',
    "a node of 3 million letters": '{ {{ "n" * 3000000 }}: {} }',
    "a text searched for the worst": "{% set t = 'a' * 29000 %}{% set p = 'a' * 49 ~ 'b' ~ 'a' * 49 %}{% for i in range(9999) %}{% if p in t %}{% endif %}{% endfor %}",
    "and replaced": "{% set t = 'a' * 29000 %}{% set p = 'a' * 49 ~ 'b' ~ 'a' * 49 %}{% for i in range(9999) %}{% set x = t | replace(p, '') %}{% endfor %}",
    "a range searched": "{% for i in range(9999) %}{% if 'x' in range(9999) %}{% endif %}{% endfor %}",
    "a list as a key": _doubled("n.x + n.x", times=4, first="range(9999) | list")
    + "{% for i in range(9999) %}{% if prompt[n.x] is defined %}{% endif %}{% endfor %}",
    "letters that are three in capitals": "{% set x = ('ΐ' * 15000000) | upper %}",
    "a list written out as text": "{% set x = ['\\U000e0001' * 15000000] | string %}",
    "generators in generators": "{% set n = namespace(x=range(99)) %}{% for i in range(9000) %}{% set n.x = n.x|map('abs') %}{% endfor %}{% set y = n.x|list %}",
    "filters in loops": "{% for a in range(9999) %}{% for b in range(99) %}{% set x = prompt|lower|upper|trim|lower|upper|trim %}{% endfor %}{% endfor %}",
    "2.4 million empty lists": '{"out": {"class_type": "S", "inputs": {"x": {"__value__": [{% for i in range(60) %}'
    + "[]," * 40000
    + "{% endfor %} 1]}}}}",
    "a node's name everywhere": '{ {% for i in range(60) %}{{ "n" ~ i }}: {"class_type": "A", "inputs": {"x": {"__value__": ['
    + '"a",' * 4000
    + '1]}}}, {% endfor %}"a": {"class_type": "A", "inputs": {'
    + _list(30, lambda i: f'"k{i}": [1]')
    + "}} }",
    "links that are near 998 nodes": '{"out": {"class_type": "S", "inputs": {'
    + _list(50, lambda i: f'"k{i}": ["{_name(i, 8)}", 0]')
    + "}}, "
    + _list(998, lambda i: f'"{_name(i, 0)}": {{"class_type": "A", "inputs": {{}}}}')
    + "}",
    "namespaces doubled": DOUBLED.replace("VALUE", "namespace(a=n.x, b=n.x)") + "{{ n.x|string }}",
    "namespaces doubled, behind a slow load": "".join(
        f"{{% set v{i} = prompt|lower|upper %}}" for i in range(2900)
    )
    + DOUBLED.replace("VALUE", "namespace(a=n.x, b=n.x)")
    + "{{ n.x|string }}",
    "a search in a select": "{% set t = 'a' * 29000 %}{% set p = 'a' * 49 ~ 'b' ~ 'a' * 49 %}{% set y = ([p] * 9000)|select('in', t)|list %}",
}

_FRONT = "---\noutputs: {out: image}\n"
FRONTS = {
    "50,000 unknown keys": _FRONT + "".join(f"outputz{i:06}: 1\n" for i in range(50000)) + "---\n{}",
    "40,000 keys of a parameter": _FRONT
    + "parameters:\n  p:\n    type: int\n"
    + "".join(f"    minn{i:06}: 1\n" for i in range(40000))
    + "---\n{{ p }}",
    "15,000 parameters": _FRONT
    + "parameters:\n"
    + "".join(f"  p{i:06}: {{type: int}}\n" for i in range(15000))
    + "---\n"
    + "".join(f"{{{{ q{i:06} }}}}" for i in range(15000)),
    "400 parameters, as many near": _FRONT
    + "parameters:\n"
    + "".join(f"  p{i:06}: {{type: int}}\n" for i in range(400))
    + "---\n"
    + "".join(f"{{{{ q{i:06} }}}}" for i in range(4900)),
    "wrong types": _FRONT
    + "parameters:\n"
    + "".join(f"  p{i:06}: {{type: itn{i}}}\n" for i in range(20000))
    + "---\n{}",
    "40,000 outputs": "---\noutputs:\n"
    + "".join(f"  o{i:06}: image\n" for i in range(40000))
    + "---\n{"
    + ",".join(f'"n{i}": {{"class_type": "A", "inputs": {{}}}}' for i in range(5000))
    + "}",
}

TEMPLATES = {
    **{body[:60]: f"{HEAD}{USES}\n{body}" for body in WRITTEN},
    **{name: f"{HEAD}{USES}\n{body}" for name, body in NAMED.items()},
    **FRONTS,
}


def main() -> None:
    """Try a share of the templates, or with `all` each; --bare tries them on the operating system alone."""
    bare, mine = "--bare" in sys.argv, sys.argv[1]
    broken = 0
    names = list(TEMPLATES) if mine == "all" else list(TEMPLATES)[int(mine) :: SHARES]
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "templates").mkdir()
        Catalog(project).load("txt2img")  # what is imported at the first use is there for all
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
        for name in names:
            if bare:
                SHARED.close()
                SHARED._program = BARE
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            before, said = _seconds(), _tried(project, TEMPLATES[name])
            signal.setitimer(signal.ITIMER_PROF, 0)
            if mine == "all":
                SHARED.close()  # each has a child of its own, whose time is known when it has ended
            told = {"name": name, "said": said, "seconds": round(_seconds() - before, 2), "mib": _peak()}
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
            broken += not said.startswith("refused: ")
    sys.exit(1 if broken else 0)


def _seconds() -> float:
    """Return the processor time of this process and of the children that ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in both)


def _peak() -> int:
    """Return the most MiB that any child held."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def _tried(project: Path, text: str) -> str:
    (project / "templates" / "mine.json.j2").write_text(text, encoding="utf-8")
    try:
        template = Catalog(project).load("mine")
        render(template, values_for(template), files=FILES)
    except TemplateError as fault:
        return f"refused: {fault.problems[0].message}"[:500]
    except Exception as fault:  # noqa: BLE001 - this is what is looked for
        return f"broke through: {type(fault).__name__}: {fault}"[:500]
    return "rendered"


if __name__ == "__main__":
    main()
