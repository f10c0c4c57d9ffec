"""The child process over real sockets: what is previz's own; conformance/ judges the protocol."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image
from websockets.sync.client import connect

import runner
from tests.conformance.abilities import ABILITIES

from .conftest import PATIENCE_S, Previz
from .graphs import node, plain, txt2img


def fetch(previz: Previz, entry: dict, node_id: str = "9") -> Image.Image:
    """Return the first picture that a job saved."""
    ref = entry["outputs"][node_id]["images"][0]
    return Image.open(BytesIO(previz.http.get("/view", params=ref).content))


def fresh() -> int:
    """Return a seed that no other test uses."""
    return uuid.uuid4().int % 2**32


def test_a_text_becomes_a_card(previz: Previz) -> None:
    """The usual graph gives one PNG of the asked size that carries its own graph."""
    picture = fetch(previz, previz.render(txt2img(fresh(), width=192, height=128)))

    assert (picture.format, picture.size, picture.mode) == ("PNG", (192, 128), "RGB")
    assert json.loads(picture.text["prompt"])["3"]["inputs"]["text"] == "a lighthouse"
    assert len(picture.getcolors(1 << 20)) > 10


def test_cards_repeat_and_differ(previz: Previz) -> None:
    """The same job gives the same pixels, another seed gives others."""
    seed = fresh()
    pictures = [
        fetch(previz, previz.render(txt2img(each, prefix=f"t/{name}"))).tobytes()
        for name, each in (("a", seed), ("b", seed), ("c", seed + 1))
    ]

    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]


def test_the_story_is_on_the_card(previz: Previz) -> None:
    """What the submission tells changes the picture; nonsense is tolerated."""
    seed = fresh()
    stories = [{}, {"scene": "s01", "cut": "c001", "cast": ["aki"], "title": "Dusk"}, {"cast": {"a": [1]}}]
    pictures = []
    for index, story in enumerate(stories):
        extra = {"extra_pnginfo": {"animerun": {"job": story}}}
        entry = previz.render(
            txt2img(seed, prefix=f"t/story{index}", width=480, height=272), extra_data=extra
        )
        assert entry["status"]["status_str"] == "success"
        pictures.append(fetch(previz, entry).tobytes())

    assert pictures[0] != pictures[1]


def test_an_img2img_card_shows_its_source(previz: Previz) -> None:
    """Two sources give two cards of the sources' size."""
    pictures = []
    for colour in (0xFF0000, 0x0000FF):
        prompt = txt2img(1, prefix=f"t/{uuid.uuid4().hex}")
        prompt["5"] = node("VAEEncode", pixels=["10", 0], vae=["1", 2])
        prompt["10"] = node("EmptyImage", width=200, height=120, batch_size=1, color=colour)
        prompt["6"]["inputs"]["denoise"] = 0.3
        pictures.append(fetch(previz, previz.render(prompt)))

    assert [picture.size for picture in pictures] == [(200, 120)] * 2
    assert pictures[0].tobytes() != pictures[1].tobytes()


def test_previz_says_what_it_is(previz: Previz) -> None:
    """It speaks for 0.33.0 on a CPU and names itself and its version."""
    stats = previz.http.get("/system_stats").json()

    assert stats["system"]["comfyui_version"] == "0.33.0"
    assert stats["system"]["animerun_previz"] == runner.__version__
    assert stats["devices"][0]["type"] == "cpu"


def test_model_files_are_open_choices(previz: Previz) -> None:
    """A client sees that any name goes; other combos are listed, in both forms."""
    info = previz.http.get("/object_info").json()

    assert info["LoraLoader"]["input"]["required"]["lora_name"] == [
        "COMBO",
        {"options": [], "animerun_any": True},
    ]
    assert "euler" in info["KSampler"]["input"]["required"]["sampler_name"][0]
    assert "multiply" in info["ImageBlend"]["input"]["required"]["blend_mode"][1]["options"]


def test_classes_say_nothing_in_prose(previz: Previz) -> None:
    """The table holds facts: no tooltips, no descriptions."""
    info = previz.http.get("/object_info").text

    assert "tooltip" not in info
    assert all(each["description"] == "" for each in json.loads(info).values())


def test_a_busy_worker_does_not_block_answers(previz: Previz) -> None:
    """While a node sleeps, requests are answered and the job can be interrupted."""
    prompt_id = previz.submit(
        {
            **plain(fresh() % 0xFFFFFF),
            "2": node("TSleep", image=["1", 0], seconds=60.0, coop=True),
            "3": node("SaveImage", images=["2", 0], filename_prefix="t/x"),
        }
    )
    previz.poll(lambda: previz.http.get("/queue").json()["queue_running"])
    previz.http.post("/interrupt", json={"prompt_id": prompt_id})
    entry = previz.poll(lambda: previz.http.get(f"/history/{prompt_id}").json().get(prompt_id))

    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


def test_it_ends_with_its_parent(start: Callable[..., Previz]) -> None:
    """End of file on stdin ends the process, with code 0 and without temp files, even in mid-job."""
    child = start()
    (child.folder / "temp/left").touch()
    child.submit({**plain(), "3": node("PreviewImage", images=["4", 0]), "4": sleeper()})

    assert child.close() == 0
    assert not (child.folder / "temp").exists()


def test_it_ends_with_its_parent_behind_a_socket(tmp_path: Path) -> None:
    """A stdin that is a socket, as asyncio makes it on some versions, counts as a pipe."""
    ours, theirs = socket.socketpair()
    command = [
        sys.executable,
        "-m",
        "runner.previz",
        "--folder",
        str(tmp_path),
        "--log",
        str(tmp_path / "log"),
    ]
    with ours, subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE) as child:
        theirs.close()
        assert json.loads(child.stdout.readline())["event"] == "listening"
        ours.close()
        assert child.wait(PATIENCE_S) == 0


def test_a_signal_ends_it_at_once(start: Callable[..., Previz]) -> None:
    """SIGTERM ends the process although a job runs and a socket is open."""
    child = start()
    with connect(child.url.replace("http", "ws") + "/ws", max_size=None) as listening:
        listening.recv(timeout=PATIENCE_S)
        child.submit({**plain(), "3": node("PreviewImage", images=["4", 0]), "4": sleeper()})
        child.child.terminate()

        assert child.child.wait(PATIENCE_S) != 0


def sleeper() -> dict:
    """Return a node that sleeps for ten minutes."""
    return node("TSleep", image=["1", 0], seconds=600.0, coop=True)


def test_it_says_where_it_listens(start: Callable[..., Previz]) -> None:
    """The first line on stdout is an object with the address and the process id."""
    child = start()

    assert child.first_line == {"event": "listening", "url": child.url, "pid": child.child.pid}
    assert child.url.startswith("http://127.0.0.1:")


def test_previz_behaves_as_the_newest_server(start: Callable[..., Previz]) -> None:
    """It has what servers differ in but for its narrow door; under an older profile only the cache."""
    newest, older = start(), start("--profile", "v0364")

    assert {name for name, ask in ABILITIES.items() if not ask(newest.http)} == {"answers_to_any_name"}
    assert {name for name, ask in ABILITIES.items() if ask(older.http)} == {"keeps_results"}


@pytest.mark.parametrize("poison", ["inputs", "extra_data", "node"])
def test_poison_kills_the_worker_and_nothing_else(start: Callable[..., Previz], poison: str) -> None:
    """The job stays in running, later ones in pending, and answers keep coming."""
    # The newest refuses null extra_data; older servers queue it and die of it.
    child = start("--profile", "v0364") if poison == "extra_data" else start()
    if poison == "inputs":
        child.submit({**plain(), "3": {"class_type": "ImageInvert"}})
    elif poison == "extra_data":
        child.submit(plain(), extra_data=None)
    else:
        raising = {**plain(), "3": node("TRaise", image=["1", 0], kind="systemexit")}
        child.submit({**raising, "4": node("PreviewImage", images=["3", 0])})
    child.poll(lambda: "no job will run any more" in (child.folder / "log").read_text())
    child.submit(plain(1))
    queue = child.http.get("/queue").json()

    assert (len(queue["queue_running"]), len(queue["queue_pending"])) == (1, 1)


def test_a_frame_that_is_not_json_ends_the_process(start: Callable[..., Previz]) -> None:
    """A set in an output kills the server when it is sent, as it does a real one."""
    child = start()
    prompt = {"1": plain()["1"], "2": node("TBadUI", image=["1", 0], kind="set")}
    child.http.post("/prompt", json={"prompt": prompt, "client_id": "c"})

    assert child.child.wait(PATIENCE_S) != 0
    with pytest.raises(httpx.TransportError):
        child.http.get("/prompt")


def test_steps_can_take_time(start: Callable[..., Previz]) -> None:
    """With --step-ms every step is reported and takes at least that long."""
    child = start("--step-ms", "5")
    prompt = txt2img()
    prompt["6"]["inputs"]["steps"] = 12
    with connect(child.url.replace("http", "ws") + "/ws?clientId=c", max_size=None) as listening:
        began = time.monotonic()
        child.render(prompt, client_id="c")
        took = time.monotonic() - began
        frames = []
        while not frames or frames[-1] != {"node": None, "prompt_id": frames[-1].get("prompt_id")}:
            frames.append(json.loads(listening.recv(timeout=PATIENCE_S))["data"])

    assert [data["value"] for data in frames if "max" in data] == list(range(1, 13))
    assert took >= 0.06
