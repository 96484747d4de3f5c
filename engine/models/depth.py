"""Depth networks of the transformers library: how near every pixel of a photo is.

DPT (arXiv:2103.13413) and Depth-Anything tell inverse depth without a scale; Depth-Anything's
metric variants tell distances, which are turned round here.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from huggingface_hub import constants
from torch import nn
from torch.nn import functional
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

from engine.data.geometry import ImageArray
from engine.models.hub import offline_if_unreachable
from lab.config import ConfigError
from lab.datasets.records import FloatArray

KINDS = ("dpt", "depth_anything")
"""Kinds of networks whose output is known to mean depth, and which way."""
NEAREST = 1e-3
"""A distance below this counts as this, so that its inverse stays finite."""


class DepthError(ConfigError):
    """A depth network that cannot be had or used; the message names it and what to do."""


@dataclass(frozen=True)
class DepthPredictor:
    """A trained network with what prepares its input."""

    model: nn.Module
    prepare: Any
    """A transformers image processor."""
    is_metric: bool
    """It tells distances, not inverse depth."""
    device: torch.device

    @torch.inference_mode()
    def inverse_depth(self, image: ImageArray) -> FloatArray:
        """(H, W, 3) RGB -> (H, W), larger = nearer, in no particular unit.

        Raises:
            DepthError: when the network tells something that is no number.
        """
        given = self.prepare(images=image, return_tensors="pt").to(self.device)
        told = self.model(**given).predicted_depth[:, None].float()
        told = functional.interpolate(
            told, size=image.shape[:2], mode="bicubic", align_corners=False
        )[0, 0]
        depth = told.clamp(min=NEAREST).reciprocal() if self.is_metric else told
        if not torch.isfinite(depth).all():
            raise DepthError("the depth network tells something that is no number")
        return depth.cpu().numpy().astype(np.float32, copy=False)


def load_depth_predictor(model: str, device: torch.device) -> DepthPredictor:
    """A DPT or Depth-Anything with trained weights.

    Args:
        model: a directory in transformers' format, or a name on the model hub.

    Raises:
        DepthError: when there is no such directory, the name is neither in the local cache nor to
            be had (found out in seconds), or what is there is no trained depth network.
    """
    source, is_here = _source_of(model)
    transformers.logging.set_verbosity_error()
    with nullcontext(True) if is_here else offline_if_unreachable() as reachable:
        try:
            prepare: Any = AutoImageProcessor.from_pretrained(source)
            network, report = AutoModelForDepthEstimation.from_pretrained(
                source, output_loading_info=True
            )
        except Exception as error:  # transformers and the hub raise a dozen types
            raise DepthError(_explain(model, error, reachable or is_here)) from error
    kind = network.config.model_type
    if kind not in KINDS:
        raise DepthError(
            f"--model {model}: is a {kind}; depth is read from {' and '.join(KINDS)} networks"
        )
    if report["missing_keys"]:
        lacking = sorted(report["missing_keys"])
        raise DepthError(
            f"--model {model}: lacks {len(lacking)} tensors of a depth network, such as "
            f"{lacking[0]}: random weights tell no depth"
        )
    is_metric = getattr(network.config, "depth_estimation_type", "relative") == "metric"
    return DepthPredictor(network.to(device).eval(), prepare, is_metric, device)


def _source_of(model: str) -> tuple[str, bool]:
    """A directory, and that it is here; or what may be a name on the hub: `owner/name`, `name`."""
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise DepthError(f"--model {model}: the directory has no config.json of a network")
        return str(path), True
    looks_like_path = model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model
    if looks_like_path or path.exists():
        raise DepthError(f"--model {model}: there is no such directory")
    return model, False


def _explain(model: str, error: Exception, reachable: bool) -> str:
    if not reachable:
        return (
            f"--model {model}: is no directory here, is not in the local cache, and "
            f"{constants.ENDPOINT} cannot be reached: give a directory with the network, or fill "
            "the cache where there is a network"
        )
    lines = str(error).strip().splitlines()
    return f"--model {model}: {lines[0] if lines else type(error).__name__}"
