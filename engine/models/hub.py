"""Is the model hub there? Asked once, in seconds, before its client would try for a minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import huggingface_hub
from huggingface_hub import constants


@contextmanager
def offline_if_unreachable() -> Iterator[bool]:
    """Whether the model hub answers; inside, the hub's client uses its cache alone if not.

    Asked for a missing file without a network, that client tries again for most of a minute.
    """
    before = constants.HF_HUB_OFFLINE
    reachable = not before and hub_answers()
    constants.HF_HUB_OFFLINE = not reachable
    try:
        yield reachable
    finally:
        constants.HF_HUB_OFFLINE = before


def hub_answers() -> bool:
    try:
        huggingface_hub.get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # the type depends on the HTTP client behind the hub's
        return False
    return True
