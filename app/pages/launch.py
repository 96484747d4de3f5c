"""Launch: a run made from a form, what it will cost, and the queue it waits in."""

from app.parts import frame

TITLE = "Launch"


def build() -> None:
    """The form is drawn by static/launch.js from /lab/launch, the queue from /lab/queue."""
    frame("launch")
