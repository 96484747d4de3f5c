"""What a row takes on disk, with its indexes and its share of half-empty pages, in bytes.

Measured with SQLite's dbstat on recorded runs; tests hold them to what a real run takes.
"""

from __future__ import annotations

BYTES_PER_LABEL = 280
"""A row of `labels` in two indexes, and its 84 packed bytes."""
BYTES_PER_LABEL_SET = 190
"""An image at a step: one row of `label_sets`, without the packed labels."""
BYTES_PER_MASK = 16
"""A row of `label_masks`, beside the RLE itself."""
MASK_SLACK = 1.05
"""Pages of masks are so much larger than the masks in them."""
BYTES_PER_SCALAR = 23


def mask_bytes(count: int, counts_bytes: float) -> int:
    """`count` masks whose RLE counts take `counts_bytes` in all."""
    return round(MASK_SLACK * (counts_bytes + BYTES_PER_MASK * count))


def score_bytes(num_labels: float, num_sets: float) -> int:
    """Labels with all their numbers, on so many images and steps."""
    return round(BYTES_PER_LABEL * num_labels + BYTES_PER_LABEL_SET * num_sets)
