"""Small shipped weights (safetensors), and beside each a .json that says how it was made."""

from __future__ import annotations

from pathlib import Path

SHAPES_BACKBONE = Path(__file__).with_name("shapes_backbone.safetensors")

TINY_CLIP = Path(__file__).with_name("tiny_clip.safetensors")
