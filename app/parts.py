"""How a page is put together: a frame of Gradio around parts that a module of app/static draws."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

STATIC = Path(__file__).parent / "static"


def part(module: str) -> gr.HTML:
    """A place in the layout, filled by `mount(element)` of app/static/<module>.js."""
    return gr.HTML(
        value="",
        html_template="",
        js_on_load=(STATIC / "mount.js").read_text(encoding="utf-8"),
        elem_id=module,
        elem_classes=["lab-part"],
        apply_default_css=False,
        module=module,
    )


def frame(module: str) -> None:
    """Lay a page out inside the caller's Blocks: the bar that all pages share, then the page."""
    part("bar")
    part(module)
