"""A ComfyUI node that saves bytes of any kind: `tests/benchmarks/night.py` needs it in `custom_nodes/`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import folder_paths


class TSaveBytes:
    """Saves *content*, given in base64, as a file of its own kind and lists it as a node of a pack would."""

    CATEGORY = "test"
    FUNCTION = "run"
    OUTPUT_NODE = True
    RETURN_TYPES = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Return the inputs as ComfyUI asks for them."""
        return {
            "required": {
                "content": ("STRING", {"default": ""}),
                "extension": ("STRING", {"default": "bin"}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1}),
                "filename_prefix": ("STRING", {"default": "bytes"}),
            }
        }

    def run(self, content: str, extension: str, seed: int, filename_prefix: str) -> dict[str, Any]:
        """Write the file; *seed* only makes jobs differ."""
        del seed
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        filename = f"{name}_{counter:05}_.{extension}"
        (Path(folder) / filename).write_bytes(base64.b64decode(content))
        return {"ui": {"files": [{"filename": filename, "subfolder": subfolder, "type": "output"}]}}


NODE_CLASS_MAPPINGS = {"TSaveBytes": TSaveBytes}
