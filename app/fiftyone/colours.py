"""Labels in the colour of their kind, as on the lab's own pages."""

from __future__ import annotations

import fiftyone as fo

from app.fiftyone.request import GROUND_TRUTH, Request

KIND_COLOURS = {
    "Cor": "#119a6b",
    "Loc": "#e0a100",
    "Sim": "#8a63d2",
    "Oth": "#d9579f",
    "BG": "#d64528",
    "ignored": "#8b95a3",
    "unknown": "#6f8fb3",
}
TRUTH_COLOUR = "#35c9f0"


def colour_scheme(request: Request) -> fo.ColorScheme:
    """Predictions by kind, truth in one colour of its own."""
    values = [{"value": kind, "color": colour} for kind, colour in KIND_COLOURS.items()]
    fields = [
        {
            "path": field.name,
            "colorByAttribute": "kind",
            "fieldColor": KIND_COLOURS["unknown"],
            "valueColors": values,
        }
        for field in request.fields
    ]
    truth = {
        "path": GROUND_TRUTH,
        "colorByAttribute": "iscrowd",
        "fieldColor": TRUTH_COLOUR,
        "valueColors": [{"value": "False", "color": TRUTH_COLOUR}],
    }
    return fo.ColorScheme(color_by="value", fields=[*fields, truth], opacity=0.6)
