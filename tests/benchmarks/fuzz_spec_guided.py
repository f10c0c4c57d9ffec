# ruff: noqa: E501 - tables
"""The spec loader under a fuzzer that follows coverage: anything but a mistake told ends it with the file kept.

    pip install atheris          # not among the project's own needs
    python tests/benchmarks/fuzz_spec_guided.py --seconds 600 [--keep FOLDER] [--largest 2048] [--slowest 2]

A file may take so many seconds and the process 300 MB. What finds new branches joins the real specs as material for the
next; words of the language are its dictionary. Prints the fuzzer's own figures at the end; ends with 77 (or by a
signal) when anything was found, and `python … --again FILE` plays that again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))
with atheris.instrument_imports(include=["runner", "yaml"]):
    import runner.text.bounded  # noqa: F401 - imported when it is needed, too late for the fuzzer
    from runner.errors import SpecError
    from runner.expand import expand
    from runner.render import Catalog
    from runner.spec import load
    from tests.benchmarks.fuzz_spec import seeds

JOBS = 20
"""Jobs expanded of a spec that could be read."""
_SIGNS = (
    r"\x0a  ", r"\x0a- ", ": ", "- ", "[", "]", "{", "}", "&a ", "*a", "!t ", "|\\x0a", ">-\\x0a", "'", r"\x22", "#",
    r"\x09", "~", "null", "1..4", "{{ place }}", "{% for a in b %}", "{% endfor %}", "../", "<<: ", "? ", r"---\x0a",
    r"%YAML 1.2\x0a", "1e400", "18446744073709551616", r"\xed\xa0\x80", r"\xe2\x80\xa8", r"\xef\xbb\xbf", r"\x00",
)  # fmt: skip


def words(known: list[bytes]) -> set[str]:
    """Return every word that stands before a colon in the specs that there are."""
    found = (part.split()[-1] for text in known for part in text.decode().split(":") if part.split())
    return {word for word in found if word.isidentifier()}


class Target:
    """Reads one file after the other."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "spec.yaml"
        self._catalog = Catalog(None)
        for name in self._catalog.names():
            self._catalog.load(name)

    def __call__(self, data: bytes) -> None:
        """Read *data* as a spec; returns for what is right and for what is refused."""
        self._path.write_bytes(data)
        try:
            for number, _job in enumerate(expand(load(self._path), self._catalog)):
                if number > JOBS:
                    break
        except SpecError as refused:
            assert refused.problems
            assert str(refused)


def main() -> None:
    """Fuzz until the time is over; the fuzzer ends the process itself."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--largest", type=int, default=2048, help="bytes of a file")
    parser.add_argument("--slowest", type=int, default=2, help="seconds of a file, on a machine that is idle")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--again", type=Path, help="only this file, once")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    memory = Path("/dev/shm")  # a file in memory costs no wear
    folder = Path(tempfile.mkdtemp(prefix="animerun-fuzz-", dir=memory if memory.is_dir() else None))
    known = seeds(folder)
    if options.again:
        Target(folder)(options.again.read_bytes())
        return
    corpus, dictionary = folder / "corpus", folder / "words"
    corpus.mkdir()
    for number, text in enumerate(known):
        (corpus / f"{number}.yaml").write_bytes(text)
    dictionary.write_text("".join(f'"{word}"\n' for word in (*_SIGNS, *sorted(words(known)))), "ascii")
    limits = [
        f"-max_total_time={options.seconds}",
        f"-max_len={options.largest}",
        f"-timeout={options.slowest}",
        "-rss_limit_mb=300",
    ]
    files = [f"-dict={dictionary}", f"-artifact_prefix={options.keep}/", str(corpus)]
    atheris.Setup([sys.argv[0], "-print_final_stats=1", *limits, *files], Target(folder))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
