"""Protocol sections 7.3 and 7.4: names of saved files, and what is written into them."""

from __future__ import annotations

import json
import re
import uuid
from io import BytesIO

from PIL import Image

from .graphs import canvas, node, picture, preview
from .server import Server, files, message


def opened(server: Server, ref: dict[str, str]) -> Image.Image:
    """Return a picture of the server, decoded."""
    image = Image.open(BytesIO(server.view(ref).content))
    image.load()
    return image


def test_s07_3_first_name(server: Server, prefix: str) -> None:
    """Folders of the prefix become the sub-folder; the first file of a prefix is number 00001."""
    assert files(server.render(picture(prefix))) == [
        {"filename": "pic_00001_.png", "subfolder": prefix.rsplit("/", 1)[0], "type": "output"}
    ]


def test_s07_3_counter_counts_up(server: Server, prefix: str) -> None:
    """Each save under one prefix gets the next number."""
    names = [files(server.render(picture(prefix)))[0]["filename"] for _ in range(3)]

    assert names == ["pic_00001_.png", "pic_00002_.png", "pic_00003_.png"]


def test_s07_3_counter_follows_the_highest_number_found(server: Server, prefix: str) -> None:
    """The number is one above the highest in the folder at that moment, gaps and other suffixes included."""
    folder = prefix.rsplit("/", 1)[0]
    for name in ("pic_00041_.txt", "pic_00007_.png", "other_00099_.png", "pic_abc_.png"):
        assert server.upload(name, b"x", subfolder=folder, type="output").status_code == 200

    assert files(server.render(picture(prefix)))[0]["filename"] == "pic_00042_.png"


def test_s07_3_numbers_of_more_than_five_digits(server: Server, prefix: str) -> None:
    """Five digits are the least, not the most."""
    server.upload("pic_99999_.png", b"x", subfolder=prefix.rsplit("/", 1)[0], type="output")

    assert files(server.render(picture(prefix)))[0]["filename"] == "pic_100000_.png"


def test_s07_3_prefixes_do_not_share_a_counter(server: Server, prefix: str) -> None:
    """Another prefix in the same folder starts at one, a longer one with the same beginning included."""
    server.render(picture(prefix))

    assert files(server.render(picture(prefix + "_x")))[0]["filename"] == "pic_x_00001_.png"
    assert files(server.render(picture(prefix)))[0]["filename"] == "pic_00002_.png"


def test_s07_3_batch_is_consecutive(server: Server, prefix: str) -> None:
    """A batch of three is three consecutive files in one list, in batch order."""
    graph = {
        "1": canvas(color=0x010101),
        "2": canvas(color=0x020202),
        "3": node("ImageBatch", image1=["1", 0], image2=["2", 0]),
        "4": node("RepeatImageBatch", image=["3", 0], amount=2),
        "5": node("SaveImage", images=["4", 0], filename_prefix=prefix),
    }
    refs = files(server.render(graph), "5")

    assert [ref["filename"] for ref in refs] == [f"pic_0000{n}_.png" for n in (1, 2, 3, 4)]
    assert [opened(server, ref).getpixel((0, 0))[0] for ref in refs] == [1, 2, 1, 2]


def test_s07_3_placeholders_of_the_server(server: Server, prefix: str) -> None:
    """The server fills width, height, the date and, per picture, batch_num."""
    refs = files(server.render(picture(prefix + "-%width%x%height%-%year%-%batch_num%", width=24, batch=2)))

    for index, ref in enumerate(refs):
        assert re.fullmatch(rf"pic-24x16-20\d\d-{index}_0000{index + 1}_\.png", ref["filename"]), ref


def test_s07_3_placeholders_of_the_browser_stay_literal(server: Server, prefix: str) -> None:
    """What only the browser fills in is kept as it is."""
    refs = files(server.render(picture(prefix + "-%date:yyyy-MM-dd%-%Load.image%")))

    assert refs[0]["filename"] == "pic-%date:yyyy-MM-dd%-%Load.image%_00001_.png"


def test_s07_3_leaving_the_output_folder_fails_at_run_time(server: Server) -> None:
    """A prefix with .. out of the folder passes validation and fails when the node runs."""
    entry = server.render(picture(f"../../{uuid.uuid4().hex}"))

    assert message(entry, "execution_error")["node_type"] == "SaveImage"


def test_s07_3_preview_goes_to_temp(server: Server) -> None:
    """PreviewImage reports a temp file with five random letters in its name, which /view serves."""
    ref = files(server.render(preview()))[0]

    assert ref["type"] == "temp"
    assert ref["subfolder"] == ""
    assert re.fullmatch(r"ComfyUI_temp_[a-z]{5}_\d{5}_\.png", ref["filename"])
    assert opened(server, ref).size == (16, 16)


def test_s07_3_pixels(server: Server, prefix: str) -> None:
    """The saved picture has the asked size and colour, without alpha."""
    ref = files(server.render(picture(prefix, color=0x0A141E, width=24, height=8)))[0]
    image = opened(server, ref)

    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (24, 8))
    assert image.getpixel((23, 7)) == (10, 20, 30)


def test_s07_3_image_nodes_compute(server: Server, prefix: str) -> None:
    """ImageInvert and ImageScale do what they say."""
    graph = {
        "1": canvas(color=0x0A141E),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node(
            "ImageScale", image=["2", 0], upscale_method="nearest-exact", width=32, height=8, crop="center"
        ),
        "4": node("SaveImage", images=["3", 0], filename_prefix=prefix),
    }
    image = opened(server, files(server.render(graph), "4")[0])

    assert image.size == (32, 8)
    assert image.getpixel((0, 0)) == (245, 235, 225)


def test_s07_4_png_holds_the_prompt(server: Server, prefix: str) -> None:
    """The PNG's text chunk prompt holds the graph as it was executed, as ASCII JSON."""
    graph = picture(prefix, width="24")
    graph["1"]["_meta"] = {"title": "空"}
    ref = files(server.render(graph))[0]
    text = opened(server, ref).text["prompt"]
    executed = json.loads(text)

    assert text.isascii()
    assert executed["1"]["inputs"]["width"] == 24
    assert executed["1"]["_meta"] == {"title": "空"}
    assert executed["2"] == graph["2"]


def test_s07_4_png_holds_each_key_of_extra_pnginfo(server: Server, prefix: str) -> None:
    """Each key of extra_pnginfo is a text chunk of its own."""
    extra = {"workflow": {"nodes": []}, "animerun": {"job": "ep01/空", "n": [1, None]}}
    ref = files(server.render(picture(prefix), extra_data={"extra_pnginfo": extra}))[0]
    text = opened(server, ref).text

    assert set(text) == {"prompt", "workflow", "animerun"}
    assert {key: json.loads(text[key]) for key in extra} == extra
    assert all(value.isascii() for value in text.values())


def test_s07_4_png_without_extra_pnginfo(server: Server, prefix: str) -> None:
    """Without extra_pnginfo the prompt is the only text chunk."""
    assert set(opened(server, files(server.render(picture(prefix)))[0]).text) == {"prompt"}


def test_s07_4_png_uses_text_chunks(server: Server, prefix: str) -> None:
    """The metadata lies in tEXt chunks, not in compressed or international ones."""
    content = server.view(files(server.render(picture(prefix)))[0]).content
    kinds, at = [], 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        kinds.append(content[at + 4 : at + 8])
        at += 12 + length

    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert b"tEXt" in kinds
    assert not {b"zTXt", b"iTXt"} & set(kinds)


def test_s07_4_temp_previews_hold_metadata_too(server: Server) -> None:
    """PreviewImage writes the same chunks."""
    text = opened(server, files(server.render(preview(), extra_data={"extra_pnginfo": {"mine": 1}}))[0]).text

    assert json.loads(text["mine"]) == 1
    assert "prompt" in text


def test_s07_4_every_picture_of_a_batch_holds_metadata(server: Server, prefix: str) -> None:
    """Each file of a batch carries the prompt."""
    refs = files(server.render(picture(prefix, batch=2)))

    assert len(refs) == 2
    assert all("prompt" in opened(server, ref).text for ref in refs)


def test_s07_1_a_file_is_complete_when_it_is_announced(server: Server, prefix: str) -> None:
    """On its executed frame a file can be fetched whole, before the job is over."""
    with server.listen() as socket:
        prompt_id = server.submit(picture(prefix, width=256, height=256), client_id=socket.client_id)
        frames = socket.until(lambda frame: frame["type"] == "executed")
        ref = frames[-1]["data"]["output"]["images"][0]

        assert opened(server, ref).size == (256, 256)
        socket.until_over(prompt_id)
