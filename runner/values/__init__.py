"""A word's source text → plain data, by the type of its parameter. Pure.

YAML gives no types here: `28` is a number only where a number is wanted, and every refusal says what
to write instead, at the place where it stands.
"""

from runner.values.brought import brought_choice, brought_word
from runner.values.decimals import parse_count, parse_range_axis, refusal
from runner.values.length import (
    FrameRule,
    Length,
    counts_own_frames,
    parse_fps,
    parse_storyboard_length,
)
from runner.values.lora import parse_lora, parse_loras
from runner.values.parameter import parse_value
from runner.values.paths import project_path
from runner.values.seeds import Seeds, parse_seeds, parse_takes

__all__ = [
    "FrameRule",
    "Length",
    "Seeds",
    "brought_choice",
    "brought_word",
    "counts_own_frames",
    "parse_count",
    "parse_fps",
    "parse_lora",
    "parse_loras",
    "parse_range_axis",
    "parse_seeds",
    "parse_storyboard_length",
    "parse_takes",
    "parse_value",
    "project_path",
    "refusal",
]
