"""Small COCO trees and files for tests: a test states only what matters to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def coco_tree(**lists: list[dict[str, Any]]) -> dict[str, Any]:
    """One 8 x 6 (width x height) image `a.png` with one 4 x 2 square of class cat."""
    tree: dict[str, Any] = {
        "images": [image_entry()],
        "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}],
        "annotations": [annotation_entry()],
    }
    return tree | lists


def image_entry(**keys: Any) -> dict[str, Any]:
    return {"id": 1, "file_name": "a.png", "height": 6, "width": 8} | keys


def annotation_entry(**keys: Any) -> dict[str, Any]:
    entry = {
        "id": 1,
        "image_id": 1,
        "category_id": 7,
        "bbox": [2, 1, 4, 2],
        "area": 8,
        "iscrowd": 0,
        "segmentation": [[2, 1, 6, 1, 6, 3, 2, 3]],
    }
    return entry | keys


def write_tree(directory: Path, tree: object) -> tuple[Path, Path]:
    """Write `tree` and a picture for each plainly named image; returns (json, images)."""
    images = directory / "images"
    images.mkdir(exist_ok=True)
    if isinstance(tree, dict):
        for entry in tree.get("images", []):
            write_picture(images / "a.png" if ".." in str(entry) else images / entry["file_name"])
    path = directory / "instances.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path, images


def write_picture(path: Path, width: int = 8, height: int = 6) -> None:
    Image.fromarray(np.zeros((height, width, 3), dtype=np.uint8)).save(path)
