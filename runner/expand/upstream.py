"""Cuts that are made from earlier ones: which pick each variant waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.expand.sieve import Sieve
from runner.faults import Faults
from runner.naming import Pattern
from runner.story import Upstream
from runner.text.nearest import did_you_mean


@dataclass(slots=True)
class Picks:
    """Knows the cuts walked so far, so that later ones can refer to them."""

    faults: Faults
    sieves: dict[str, Sieve] = field(default_factory=dict)
    _checked: dict[tuple[Upstream, str], bool] = field(default_factory=dict)

    def wanted(self, upstream: Upstream, axes: Mapping[str, str]) -> str:
        """Return which takes the variant with *axes* chooses from, as a pattern below the cut's path.

        Axes that both cuts vary match by label, unless the author's pattern speaks of them. Notes a pattern
        that matches no take.
        """
        source = self.sieves.get(upstream.cut)
        parts = [upstream.pattern] if upstream.pattern else []
        said = _words_of(upstream.pattern)
        if source is not None:
            shared = {one.axis.words[0] for one in source.standing.axes} & axes.keys() - said
            parts += [f"{word}={axes[word]}" for word in sorted(shared)]
        pattern = "/".join(parts)
        known = (upstream, pattern)
        if source is not None and pattern and known not in self._checked:
            self._checked[known] = True
            self._check(upstream, pattern, source)
        return f"{upstream.cut}/{pattern}" if pattern else upstream.cut

    def _check(self, upstream: Upstream, pattern: str, source: Sieve) -> None:
        try:
            parsed = Pattern.parse(pattern)
        except ValueError as error:
            self.faults.at(upstream.mark, f"`from`: {error}")
            return
        if not source.only_these(parsed).count()[1]:
            segments = list(source.segments())
            hint = next((did_you_mean(part, segments) for part in pattern.split("/")), "")
            self.faults.at(upstream.mark, f"`from`: no take of {upstream.cut} matches `{pattern}`{hint}")


def _words_of(pattern: str) -> frozenset[str]:
    if not pattern:
        return frozenset()
    try:
        return Pattern.parse(pattern).words()
    except ValueError:
        return frozenset()
