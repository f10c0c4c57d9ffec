"""The keywords a card is read by: ordered tables of (key, pattern), the first pattern seen decides."""

from __future__ import annotations

import re

Table = tuple[tuple[str, str], ...]

PLACE_WORDS: Table = (
    ("plain", r"(simple|white|grey|gray|plain|blank|transparent) background|character sheet|白背景"),
    ("workshop", r"workshop|atelier|work ?bench|工房|作業場"),
    ("lighthouse", r"lighthouse|灯台"),
    ("rooftop", r"rooftop|roof top|chain-?link|屋上"),
    ("classroom", r"classroom|chalkboard|blackboard|school desk|教室"),
    ("corridor", r"corridor|hallway|廊下"),
    ("station", r"station|platform|train|subway|railway|駅|電車|ホーム"),
    ("shrine", r"shrine|torii|temple|matsuri|festival|神社|鳥居|祭"),
    ("river", r"river|stream|canal|bridge|riverbank|lake|pond|川|河|橋|湖|池"),
    ("sea", r"sea|seaside|ocean|beach|shore|harbou?r|coast|waves?|海|浜|港|波"),
    ("forest", r"forest|woods|jungle|grove|bamboo|森|林|竹"),
    ("snowfield", r"snow ?field|(?:in|on) the snow|tundra|雪原"),
    ("mountains", r"mountains?|cliff|valley|peak|fuji|山|峠|谷"),
    ("bedroom", r"bedroom|\bbed\b|\broom\b|indoors|window ?sill|living room|apartment|部屋|寝室|窓"),
    ("cafe", r"caf[eé]|coffee|restaurant|kitchen|library|bookshel|喫茶|図書"),
    (
        "street",
        r"street|alley|vending|power lines?|crosswalk|road|konbini|convenience|道|路地|街角|自販",
    ),
    ("town", r"city|town|skyline|skyscraper|village|neon|tokyo|building|街|町|都市|東京"),
    ("space", r"space|galaxy|planet|starship|orbit|宇宙|銀河"),
    ("field", r"field|meadow|grass|flowers?|sunflower|park|garden|countryside|草原|花|畑|公園|庭"),
    ("hills", r"hills?|horizon|sky|clouds?|空|雲|丘"),
)
LIGHT_WORDS: Table = (
    ("snow", r"snow(?:ing|fall|y)?|blizzard|雪"),
    ("rain", r"rain(?:y|ing)?|storm|drizzle|puddles?|雨|嵐"),
    ("sunset", r"sunset|evening|orange sky|夕焼け?|夕日|夕方|夕暮れ?"),
    ("dusk", r"dusk|twilight|blue hour|黄昏|薄暮"),
    ("dawn", r"dawn|sunrise|early morning|morning|夜明け|朝"),
    ("night", r"night|moon(?:light)?|midnight|starry|stars|neon|夜|月|星"),
    ("gold", r"golden hour|backlight(?:ing|ed)?|afternoon|warm light|午後"),
    ("overcast", r"overcast|cloudy|fog(?:gy)?|mist(?:y)?|曇り?|霧"),
    ("noon", r"noon|daylight|day|sunny|blue sky|summer|昼|晴れ?|青空"),
)
SHOTS: Table = (
    ("close", r"close-?up|\bclose\b|portrait|head and shoulders|face focus|アップ"),
    ("upper", r"upper body|bust|medium shot|medium close|バストアップ"),
    ("cowboy", r"cowboy|medium full|three-?quarter shot|knee"),
    ("far", r"very wide|extreme wide|establishing|long shot|scenery|ロング"),
    ("wide", r"wide|full body|full shot|全身"),
)
VIEWS: Table = (
    ("behind", r"from behind|back view|facing away|back turned|後ろ姿|背中"),
    ("side", r"from side|side view|profile|横顔|looking away|face to face"),
    ("quarter", r"three-quarter view|3/4 view|looking to the side"),
)
ANGLES: Table = (
    ("low", r"low angle|from below|worm'?s|あおり|アオリ"),
    ("high", r"high angle|from above|bird'?s|俯瞰|フカン"),
    ("dutch", r"dutch"),
)
EXPRESSIONS: Table = (
    ("crying", r"cry(?:ing)?|tears?|sob(?:bing)?|weep(?:ing)?|泣|涙"),
    ("angry", r"angry|anger|v-shaped eyebrows|furious|glar(?:e|ing)|怒"),
    ("surprised", r"surpris(?:ed|e)|shock(?:ed)?|wide-eyed|startled|open mouth|驚"),
    ("laughing", r"laugh(?:ing)?|grin|big smile|happy|excited|:d|笑顔|爆笑"),
    ("smile", r"smil(?:e|es|ing)|gentle|cheerful|微笑|笑"),
    ("sad", r"sad|worr(?:y|ied)|anxious|nervous|uneasy|melanchol\w*|lonely|frown|depressed|悲|寂"),
    ("shy", r"blush(?:ing)?|shy|embarrassed|照れ|赤面"),
    ("sleepy", r"sleep(?:y|ing)?|closed eyes|yawn|眠|寝"),
    ("neutral", r"expressionless|neutral|無表情"),
)
POSE_WORDS: Table = (
    ("climb", r"climb(?:s|ing)?|up the (?:stone )?(?:steps|stairs)|登|上って"),
    ("offer", r"show(?:s|ing)|hand(?:s|ing) (?:over|[a-z]+ (?:a|the))|offer(?:s|ing)?|giv(?:es|ing)|渡|見せ"),
    ("kneel", r"kneel(?:s|ing)?|crouch(?:es|ing)?|squat(?:s|ting)?|seiza|正座|しゃが\w*"),
    ("sit", r"sit(?:s|ting)?|座"),
    ("run", r"run(?:s|ning)?|dash(?:es|ing)?|jump(?:s|ing)?|leap(?:s|ing)?|dynamic pose|走"),
    ("wave", r"wav(?:e|es|ing)|hello|greeting|手を振"),
    (
        "read",
        r"read(?:s|ing)?|letter|book|phone|本|手紙|読|"
        r"holding (?:a |an |the )?(?!hands|lanterns?|paper|up|the|an?\b)[a-z]+",
    ),
    ("lean", r"lean(?:s|ing)?|もたれ"),
    ("walk", r"walk(?:s|ing)?|stroll(?:s|ing)?|歩"),
    ("crossed", r"crossed arms|arms crossed|腕組み"),
    ("reach", r"reach(?:es|ing)?|point(?:s|ing)?|outstretched"),
    ("sky", r"looking up|looking at the sky|見上げ"),
    ("heart", r"pray(?:s|ing)?|hands? (?:on|to) (?:own )?chest|hands together|祈"),
)
_FEW = r"(?:[a-z-]+ ){0,3}"
_GOING = r"(?:run\w*|walk\w*|danc\w*|com(?:es|ing)|stand\w*|girls?|boys?|children|wom[ae]n|m[ae]n)"
LANTERN_WORDS: Table = (
    ("set", rf"(?:sets?|setting|puts?|putting|plac\w+|releas\w+|lower\w*|launch\w*) {_FEW}lanterns?"),
    (
        "raise",
        rf"(?:hold\w*|lift\w*|rais\w+) {_FEW}lanterns? (?:up|high|aloft|over\w*)"
        rf"|(?:lift\w*|rais\w+) {_FEW}lanterns?",
    ),
    ("both", r"lanterns in (?:both|each|their|her|his) hands?|lantern in each hand|two (?:[a-z]+ )?lanterns"),
    (
        "cup",
        rf"(?:fold\w*|mak(?:es|ing)|build\w*|glu\w+|paint(?:s|ing)|mend\w*|cradl\w+) {_FEW}lanterns?"
        r"|lantern in (?:both|her|his|cupped) hands?",
    ),
    (
        "carry",
        rf"(?:hold\w*|carry\w*|carries|swing\w*) {_FEW}lanterns?|提灯を|灯籠を"
        rf"|{_GOING} (?:[a-z]+ )?with {_FEW}lanterns?",
    ),
)
FLOATING = (
    rf"lanterns? {_FEW}(?:on|across|over|down|in|upon) the (?:water|river|lake|sea|pond|stream)|"
    r"floating (?:[a-z]+ )?lanterns?|lanterns? (?:[a-z]+ )?(?:drift|float)\w*|"
    r"(?:toro|tōrō) nagashi|灯[籠篭]流し"
)
LEAVES = r"(?:maple|autumn|red|falling|fallen|golden) (?:[a-z]+ )?leaves|maples?|autumn|紅葉|もみじ|落ち葉"
CREATURES: Table = (
    ("fox", r"fox|kitsune|狐|キツネ"),
    ("cat", r"cat|kitten|猫|ネコ"),
    ("dog", r"dog|puppy|shiba|犬|柴"),
    ("bird", r"birds?|crow|seagulls?|crane|鳥|鴉|カモメ"),
    ("rabbit", r"rabbit|bunny|兎|うさぎ"),
    ("robot", r"robot|mecha|mech|android|ロボット"),
)


def seen(pattern: str, text: str) -> bool:
    """Return whether *pattern* stands in *text*, Latin words whole and CJK anywhere."""
    return re.search(_bounded(pattern), text) is not None


def find(pattern: str, text: str) -> int | None:
    """Return where *pattern* first stands in *text*, bounded as in `seen`, or None."""
    found = re.search(_bounded(pattern), text)
    return found.start() if found else None


def first_match(table: Table, text: str) -> str:
    """Return the key of the first row of *table* seen in *text*, or an empty string."""
    return next((key for key, pattern in table if seen(pattern, text)), "")


def _bounded(pattern: str) -> str:
    return f"(?<![a-z])(?:{pattern})(?![a-z])"
