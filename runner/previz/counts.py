"""Who is there by number and sex: the counting tags of a prompt, and which of a named cast are boys."""

from __future__ import annotations

import re

from runner.previz.die import die
from runner.previz.words import find, seen

MOST_PEOPLE = 5
GIRL = (
    r"girl|woman|female|lady|she|grandm\w+|granny|mother|sister|serafuku|sailor dress|dress|skirt|blouse|"
    r"miko|maid|女|少女|女の子|女性|祖母|おばあ"
)
BOY = (
    r"boy|man|male|he|gakuran|jinbei|hakama|tuxedo|haori|happi|grandfather|grandpa|father|brother|beard|"
    r"学ラン|甚平|少年|男の子|男|祖父|おじい"
)
GIRLISH = r"yukata|kimono|twin ?tails?|pigtails|braids?|ribbon|hair ornament|long (?:[a-z]+ )?hair|浴衣"


def counted(prompt: str) -> list[bool]:
    """Return one flag per person the tags count, true for a boy. Source: Danbooru tags 1girl … 6+girls."""
    found: list[bool] = []
    for pattern, boy in ((r"(\d)\+?girls?", False), (r"(\d)\+?boys?", True)):
        match = re.search(rf"(?<![a-z0-9]){pattern}(?![a-z])", prompt)
        found += [boy] * (int(match.group(1)) if match else 0)
    if not found and not seen(r"no humans|scenery only|無人", prompt):
        found += [False] * seen(
            r"girl|woman|heroine|lady|miko|she|grandmother|grandma|granny|mother|少女|女の子|女性", prompt
        )
        found += [True] * seen(r"boy|man|hero|guy|grandfather|grandpa|father|少年|男の子|男性", prompt)
    return found[:MOST_PEOPLE]


def told_boy(words: str) -> bool | None:
    """Return whether the first word that tells a sex tells a boy; None where no word does."""
    girl, boy = find(GIRL, words), find(BOY, words)
    if girl is None and boy is None:
        return None
    return girl is None or (boy is not None and boy < girl)


def boys(cast: list[str], parts: list[str], prompt: str) -> list[bool]:
    """Return one flag per member of *cast*, true for a boy.

    *parts* are what the prompt says of each. What is said of somebody decides; who is left takes what the
    count tags leave, first those in clothes more often a girl's, then by name.
    """
    tags = counted(prompt)
    if tags and len(set(tags)) == 1 and len(tags) >= len(cast):
        return [tags[0]] * len(cast)
    told = [told_boy(words) for words in parts]
    open_places = [at for at, flag in enumerate(told) if flag is None]
    free = max(0, tags.count(True) - told.count(True))
    likely = sorted(
        open_places, key=lambda at: (seen(GIRLISH, parts[at]), die("boy", cast[at].lower()).random())
    )
    chosen = set(likely[:free])
    return [at in chosen if flag is None else flag for at, flag in enumerate(told)]
