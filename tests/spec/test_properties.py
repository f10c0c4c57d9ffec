"""Laws of expansion, whatever the axes are; and whatever is written, only mistakes come out."""

from __future__ import annotations

import random
from math import prod
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import SpecError
from runner.naming import Pattern

GOLDEN = Path(__file__).parent.parent / "golden" / "spec"
WORDS = ("camera", "place", "light", "prompt", "steps", "cfg", "style")
QUICK = settings(max_examples=40)

axes = st.dictionaries(st.sampled_from(WORDS), st.integers(1, 3), max_size=4)


def vary(sizes):
    """Return a `vary` with as many values per word as *sizes* say."""
    values = {
        word: [str(n) if word in ("steps", "cfg") else f"{word[0]}{n}" for n in range(1, size + 1)]
        for word, size in sizes.items()
    }
    lists = (f"{word}: [{', '.join(texts)}]" for word, texts in values.items())
    return "{" + ", ".join(lists) + "}" if sizes else "null"


def spec(sizes, takes, cuts=("c001", "c002")):
    """Return a spec of two cuts with the same axes."""
    body = ", ".join(f"{name}: {{action: walking {name}}}" for name in cuts)
    head = "animerun: 1\nepisode: ep\n"
    axis = f"vary: {vary(sizes)}\n" if sizes else ""
    return f"{head}{axis}takes: {takes}\nscenes: {{s: {{cuts: {{{body}}}}}}}"


@QUICK
@given(axes, st.integers(1, 4))
def test_the_number_of_jobs_is_the_product(studio, sizes, takes):
    """As many jobs as values, axis times axis, times takes, for each cut; keys and names all distinct."""
    expansion = studio.expand(spec(sizes, takes))
    jobs = list(expansion)

    assert len(jobs) == expansion.count == 2 * takes * prod(sizes.values())
    assert len({job.key for job in jobs}) == len({job.name.casefold() for job in jobs}) == len(jobs)
    assert [job.seq for job in jobs] == list(range(len(jobs)))


@QUICK
@given(axes, st.integers(1, 3), st.randoms(use_true_random=False))
def test_reordering_the_file_keeps_keys_seeds_and_names(studio, sizes, takes, chance):
    """The order of axes and cuts is an order of listings, never a part of identity."""
    shuffled = list(sizes.items())
    chance.shuffle(shuffled)

    before = {(job.key, job.seed, job.name) for job in studio.jobs(spec(sizes, takes))}
    after = {
        (job.key, job.seed, job.name)
        for job in studio.jobs(spec(dict(shuffled), takes, cuts=("c002", "c001")))
    }

    assert before == after


@QUICK
@given(axes, st.integers(1, 3))
def test_one_take_more_keeps_all_jobs_there_were(studio, sizes, takes):
    """A larger N only adds."""
    few, many = (
        {(job.key, job.seed, job.name) for job in studio.jobs(spec(sizes, number))}
        for number in (takes, takes + 1)
    )

    assert few < many


@QUICK
@given(axes.filter(bool), st.integers(1, 3), st.data())
def test_an_except_takes_off_exactly_what_it_matches(studio, sizes, takes, data):
    """Count, sequence and the jobs themselves agree with leaving the matching ones out by hand."""
    word = data.draw(st.sampled_from(sorted(sizes)))
    whole = studio.jobs(spec(sizes, takes))
    label = dict(whole[-1].axes)[word]
    pattern = f"c001/{word}={label}"
    text = spec(sizes, takes).replace("takes:", f"except: ['{pattern}']\ntakes:")

    expansion = studio.expand(text)

    kept = [job.key for job in whole if not (job.cut == "c001" and dict(job.axes)[word] == label)]
    assert [job.key for job in expansion] == kept
    assert expansion.count == len(kept)


_ABOUT_TAKES = (
    "take=1",
    "c001/take=2,3",
    "take=03,9",
    "*=2",
    "c00*/take=3",
    "c002",
    "take=[12]",
    "camera=c1/take=2",
)


@QUICK
@given(
    axes, st.integers(1, 4), st.sets(st.sampled_from(_ABOUT_TAKES)), st.sets(st.sampled_from(_ABOUT_TAKES))
)
def test_patterns_about_takes_choose_what_they_match(studio, sizes, takes, only, without):
    """Takes that no pattern names are judged together, with the same jobs and counts as one by one."""
    whole = studio.jobs(spec(sizes, takes))
    chosen = [
        job.seq
        for job in whole
        if (not only or any(Pattern.parse(text).matches(job.key) for text in only))
        and not any(Pattern.parse(text).matches(job.key) for text in without)
    ]
    try:
        expansion = studio.expand(spec(sizes, takes), only=sorted(only), without=sorted(without))
    except SpecError:
        return  # a pattern that matches nothing

    assert [job.seq for job in expansion] == chosen
    assert (expansion.count, expansion.selected) == (len(whole), len(chosen))


@QUICK
@given(axes, st.integers(1, 4), st.sampled_from(_ABOUT_TAKES))
def test_an_except_about_takes_takes_them_off(studio, sizes, takes, pattern):
    """Count, sequence and jobs agree with leaving the takes out by hand."""
    kept = [job.key for job in studio.jobs(spec(sizes, takes)) if not Pattern.parse(pattern).matches(job.key)]
    try:
        expansion = studio.expand(spec(sizes, takes).replace("takes:", f"except: ['{pattern}']\ntakes:"))
    except SpecError:
        return  # a pattern that matches nothing

    assert [job.key for job in expansion] == kept
    assert [job.seq for job in expansion] == list(range(len(kept)))
    assert expansion.count == len(kept)


@QUICK
@given(axes.filter(bool), st.data())
def test_only_selects_what_matches_and_counts_it(studio, sizes, data):
    """`selected` is the number of jobs yielded, and each keeps the number it has in the whole."""
    whole = studio.jobs(spec(sizes, 2))
    wanted = data.draw(st.sampled_from(whole))
    word, label = wanted.axes[0]

    expansion = studio.expand(spec(sizes, 2), only=[f"{word}={label}"])

    matching = [(job.seq, job.key) for job in whole if (word, label) in job.axes]
    assert [(job.seq, job.key) for job in expansion] == matching
    assert expansion.selected == len(matching)


_TEXT = """
null ~ "" [] {} [a] {a:b} 3 -1 1..4 1e400 a/b mio mio.yukata {from:c001} {prompt:x} [[a,b]] '{{x}}'
'{%for%}' ../x c001 x:y scenes cast vary model prompts wording lora steps place+light except takes seeds
length deliver else tags prose s01 s01/c001 high:x.safetensors x.safetensors@0.5 1210x832 3+12 sketch
"""
PIECES = _TEXT.split()


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from(["harbour", "sheet", "nightly", "cast"]), st.integers(1, 4))
def test_a_damaged_spec_expands_or_tells_its_mistakes(studio, seed, name, damages):
    """Whatever word of a real spec is replaced, nothing but a SpecError with places comes out."""
    chance = random.Random(seed)
    texts = {path.stem: path.read_text("utf-8") for path in GOLDEN.glob("*.yaml")}
    words = texts[name].split(" ")
    for _ in range(damages):
        words[chance.randrange(len(words))] = chance.choice(PIECES)
    texts[name] = " ".join(words)
    for stem, text in texts.items():
        studio.write(text, f"{stem}.yaml")
    studio.touch("refs/owl.png")

    try:
        expansion = studio.expand(texts["harbour" if name == "cast" else name])
        assert sum(1 for _ in expansion) == expansion.selected
    except SpecError as refused:
        assert refused.problems
        assert all(problem.message for problem in refused.problems)
