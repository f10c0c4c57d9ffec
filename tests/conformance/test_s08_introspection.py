"""Protocol section 8: what a server tells about itself."""

from __future__ import annotations

from typing import Any

import pytest

from .server import Server


def test_s08_system_stats(server: Server) -> None:
    """/system_stats tells versions, memory in bytes, the command line and the devices."""
    stats = server.http.get("/system_stats").json()
    system = stats["system"]

    assert set(stats) == {"system", "devices"}
    assert {"os", "python_version", "pytorch_version", "comfyui_version", "embedded_python"} <= set(system)
    assert system["comfyui_version"].count(".") >= 2
    assert isinstance(system["argv"], list)
    assert 0 < system["ram_free"] <= system["ram_total"]
    assert stats["devices"]
    for device in stats["devices"]:
        assert set(device) == {
            "name",
            "type",
            "index",
            "vram_total",
            "vram_free",
            "torch_vram_total",
            "torch_vram_free",
        }
        assert isinstance(device["vram_total"], int)


def test_s08_features(server: Server) -> None:
    """/features tells the upload limit in bytes and whether previews can carry metadata."""
    features = server.http.get("/features").json()

    assert features["supports_preview_metadata"] is True
    assert type(features["max_upload_size"]) is int
    assert features["max_upload_size"] >= 1024 * 1024


def test_s08_object_info_shape(classes: dict[str, dict[str, Any]]) -> None:
    """Each class tells inputs and their order, outputs, names, category, and whether it is an output node."""
    for name, info in classes.items():
        assert info["name"] == name
        assert set(info["input"]) <= {"required", "optional", "hidden"}
        assert set(info["input_order"]) == set(info["input"])
        for group, order in info["input_order"].items():
            assert set(order) == set(info["input"][group]), name
        assert len(info["output"]) == len(info["output_is_list"]) == len(info["output_name"]), name
        assert isinstance(info["output_node"], bool)
        assert {"display_name", "description", "category", "python_module"} <= set(info)


def test_s08_output_nodes(classes: dict[str, dict[str, Any]]) -> None:
    """Savers and previews are output nodes, makers and samplers are not."""
    assert classes["SaveImage"]["output_node"] is True
    assert classes["PreviewImage"]["output_node"] is True
    assert classes["EmptyImage"]["output_node"] is False
    assert classes["KSampler"]["output_node"] is False


def test_s08_numeric_inputs(classes: dict[str, dict[str, Any]]) -> None:
    """A numeric input is its type and its options; the largest seed is exact."""
    required = classes["KSampler"]["input"]["required"]

    assert required["seed"][0] == "INT"
    assert required["seed"][1]["max"] == 18446744073709551615
    assert required["cfg"][0] == "FLOAT"
    assert {"default", "min", "max", "step"} <= set(required["cfg"][1])


def test_s08_combo_as_a_list(classes: dict[str, dict[str, Any]]) -> None:
    """The older form of a combo is the list of choices in the place of the type."""
    choices = classes["KSampler"]["input"]["required"]["sampler_name"][0]

    assert isinstance(choices, list)
    assert {"euler", "dpmpp_2m"} <= set(choices)


def test_s08_combo_as_a_type(classes: dict[str, dict[str, Any]]) -> None:
    """The newer form of a combo is the word COMBO with options."""
    combos = [
        spec
        for info in classes.values()
        for group in ("required", "optional")
        for spec in info["input"].get(group, {}).values()
        if spec[0] == "COMBO" and "options" in spec[1]
    ]

    assert combos
    assert all(isinstance(spec[1]["options"], list) for spec in combos)


def test_s08_links_are_named_types(classes: dict[str, dict[str, Any]]) -> None:
    """A link's type is the name that the giving node lists under output."""
    assert classes["SaveImage"]["input"]["required"]["images"][0] == "IMAGE"
    assert classes["EmptyImage"]["output"] == ["IMAGE"]
    assert classes["KSampler"]["output"] == ["LATENT"]
    assert classes["CheckpointLoaderSimple"]["output"] == ["MODEL", "CLIP", "VAE"]


def test_s08_hidden_inputs(classes: dict[str, dict[str, Any]]) -> None:
    """Hidden inputs of an older node are bare words."""
    assert classes["SaveImage"]["input"]["hidden"] == {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}


def test_s08_single_class(server: Server, classes: dict[str, dict[str, Any]]) -> None:
    """/object_info/CLASS is that class alone, exactly as in the whole map."""
    assert server.http.get("/object_info/SaveImage").json() == {"SaveImage": classes["SaveImage"]}


def test_s08_unknown_class(server: Server) -> None:
    """An unknown class is a 200 with an empty object."""
    answer = server.http.get("/object_info/NoSuchNode")

    assert (answer.status_code, answer.json()) == (200, {})


def test_s08_model_folders(server: Server) -> None:
    """/models lists the folder types, each of which lists relative file names."""
    folders = server.http.get("/models").json()

    assert {"checkpoints", "loras", "vae"} <= set(folders)
    assert all(isinstance(name, str) for name in server.http.get("/models/loras").json())


@pytest.mark.parametrize(
    ("folder", "class_type", "name"),
    [("checkpoints", "CheckpointLoaderSimple", "ckpt_name"), ("loras", "LoraLoader", "lora_name")],
)
def test_s08_model_lists_agree(server: Server, folder: str, class_type: str, name: str) -> None:
    """The files of a model folder are the choices of its loader, where the loader has a list of choices."""
    files = server.http.get(f"/models/{folder}").json()
    spec = server.http.get(f"/object_info/{class_type}").json()[class_type]["input"]["required"][name]
    if spec[0] == "COMBO" and "options" not in spec[1]:
        pytest.skip(f"{class_type} takes any name")

    assert (spec[1]["options"] if spec[0] == "COMBO" else spec[0]) == files


def test_s08_unknown_model_folder(server: Server) -> None:
    """An unknown folder type is a 404."""
    assert server.http.get("/models/no-such-folder").status_code == 404


def test_s08_embeddings(server: Server) -> None:
    """/embeddings is a list of names."""
    assert isinstance(server.http.get("/embeddings").json(), list)


def test_s08_view_metadata_of_nothing(server: Server) -> None:
    """Metadata of a missing model file is a 404."""
    answer = server.http.get("/view_metadata/loras", params={"filename": "no-such.safetensors"})

    assert answer.status_code == 404


def test_s08_model_files_with_size_and_time(server: Server) -> None:
    """/experiment/models/FOLDER tells of each file its size in bytes and when it was written, in seconds."""
    told = server.http.get("/experiment/models/checkpoints").json()
    names = server.http.get("/models/checkpoints").json()

    assert {each["name"] for each in told} == set(names)
    for each in told:
        assert {"name", "pathIndex", "size", "modified", "created"} <= set(each)
        assert type(each["size"]) is int
        assert each["modified"] > 1_000_000_000


def test_s08_model_folders_of_the_experiment(server: Server) -> None:
    """/experiment/models lists the folder types with the folders behind them, and an unknown one is a 404."""
    folders = {each["name"]: each["folders"] for each in server.http.get("/experiment/models").json()}

    assert {"checkpoints", "loras", "vae"} <= set(folders)
    assert all(isinstance(paths, list) for paths in folders.values())
    assert server.http.get("/experiment/models/no-such").status_code == 404


def test_s08_replaced_classes(server: Server, abilities: dict[str, bool]) -> None:
    """/node_replacements maps an old class to what stands for it."""
    if not abilities["replaces_classes"]:
        pytest.skip("the server replaces no classes")
    told = server.http.get("/node_replacements").json()

    assert isinstance(told, dict)
    assert all({"new_node_id", "old_node_id"} <= set(each) for found in told.values() for each in found)
