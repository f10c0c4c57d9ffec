"""Lights of a scene: what the sky, the haze, the sun and a white shirt look like at each hour and weather."""

from __future__ import annotations

from dataclasses import dataclass

from runner.previz.brush import Ink, hexed, mix, tint


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Colours of an hour: *sky* from zenith to horizon, *ambient* multiplies surfaces, *key* rims them."""

    name: str
    sky: tuple[Ink, ...]
    haze: Ink
    ambient: Ink
    key: Ink
    cloud: Ink
    cloud_shade: Ink
    deep: Ink
    backlit: float = 0.0
    sun: Ink | None = None
    lamps: float = 0.0
    stars: float = 0.0
    fall: str = ""

    def tone(self, colour: Ink) -> Ink:
        """Return a surface of *colour* in this light."""
        return tint(colour, self.ambient)

    def figure(self, colour: Ink) -> Ink:
        """Return a person's *colour* in this light, kept clearer than the scenery round it."""
        return tint(colour, mix(self.ambient, (255, 250, 246), 0.54))

    def far(self, colour: Ink, distance: float) -> Ink:
        """Return scenery of *colour* at *distance*: 0 near, dark against a low sun; 1 lost in the haze."""
        return mix(mix(self.tone(colour), self.deep, self.backlit), self.haze, distance)


def _light(name: str, sky: str, tones: str, **more: object) -> Light:
    haze, ambient, key, cloud, shade, deep = (hexed(tone) for tone in tones.split())
    stops = tuple(hexed(stop) for stop in sky.split())
    sun = more.pop("sun", None)
    return Light(
        name=name, sky=stops, haze=haze, ambient=ambient, key=key, cloud=cloud, cloud_shade=shade, deep=deep,
        sun=hexed(sun) if isinstance(sun, str) else None, **more,  # type: ignore[arg-type]
    )  # fmt: skip


LIGHTS: dict[str, Light] = {
    light.name: light
    for light in (
        _light(
            "dawn",
            "5e86c4 9fb3dc f3c4c0 ffe7c2",
            "f6cfc0 f2e0e0 fff0cf fff3e6 d9a9b8 5c5f8c",
            backlit=0.35,
            sun="fff4d6",
        ),
        _light(
            "noon",
            "2a78d2 5aa8ea a9dcf6 e4f6fb",
            "cfeaf6 ffffff ffffff ffffff c4dcef 2f5a78",
            backlit=0.0,
            sun="fffdf0",
        ),
        _light(
            "gold",
            "5a8fc8 a9c6d8 f5dfae ffd98f",
            "f7d9a4 fff0d8 fff0b8 fff6e0 e0b98f 5f5a48",
            backlit=0.12,
            sun="fff1c0",
        ),
        _light(
            "sunset",
            "3a3d86 9a4f8f f0706a ff9f5e ffd584",
            "ff9e72 f2bfae ffd08a ffb98a a8578a 4a2850",
            backlit=0.62,
            sun="fff0b0",
            lamps=0.25,
        ),
        _light(
            "dusk",
            "1c2356 41408c 8d5a9e df8a9a f7bd9b",
            "a97aa6 b3a6d6 ffb7a0 c789b0 5a4a8c 221a48",
            backlit=0.6,
            lamps=0.6,
            stars=0.35,
        ),
        _light(
            "night",
            "070c28 101c4c 1f3470 3a5693",
            "2c4580 7f8fce a9c6ff 33508c 1c2c60 0b1234",
            backlit=0.5,
            sun="fdf6d8",
            lamps=0.85,
            stars=1.0,
        ),
        _light(
            "rain",
            "56667c 7488a0 93a6b8 b4c3cc",
            "9fb1c0 c2ccda dfeaf5 a9b8c6 6d7f93 34424f",
            backlit=0.25,
            lamps=0.35,
            fall="rain",
        ),
        _light(
            "overcast",
            "8fa3b8 b0c0ce d0dae0 e6e9e6",
            "cdd6dc e2e6ec ffffff f2f4f4 a9b8c6 4a5866",
            backlit=0.1,
        ),
        _light(
            "snow",
            "9fb4cc bccbdd d9e2ec f1f3f6",
            "e2e9f0 e6ecf6 ffffff ffffff c2cfdf 6d82a0",
            backlit=0.3,
            lamps=0.2,
            fall="snow",
        ),
    )
}
