"""What a run is: one frozen, validated description. A field's docstring is its help everywhere.

A run = (dataset view, host network, method, schedule). It is written as TOML in `experiments/`;
`extends = "base.toml"` takes another file first. Unknown keys are refused with file and key.
"""

from __future__ import annotations

from lab.config.box_method import (
    BoxInstConfig,
    BoxLossConfig,
    BoxMethodConfig,
    BoxTeacherConfig,
    MaskTeacherConfig,
)
from lab.config.boxseg import BoxSegConfig, PeerConfig
from lab.config.dataset import (
    CocoConfig,
    LooksConfig,
    ShapesConfig,
    SplitConfig,
    StrongViewConfig,
    ViewConfig,
)
from lab.config.fields import ConfigError, Frozen, Mistake
from lab.config.host import CondInstConfig, HostConfig, Mask2FormerConfig
from lab.config.live import AppliedChange, Ask, Change, change_live, full_key, live_keys
from lab.config.method import (
    ClipConfig,
    GuidedDistillationConfig,
    MethodConfig,
    PlDcConfig,
    SupervisedConfig,
)
from lab.config.pseudo_depth import PseudoDepthConfig
from lab.config.reading import (
    FOREIGN,
    flatten,
    load_run_config,
    parse_override,
    parse_run_config,
    parse_stored_config,
    with_overrides,
)
from lab.config.run import RunConfig
from lab.config.schedule import RecordConfig, ScheduleConfig
from lab.config.sim import PasteConfig, SimConfig

__all__ = [
    "FOREIGN",
    "AppliedChange",
    "Ask",
    "BoxInstConfig",
    "BoxLossConfig",
    "BoxMethodConfig",
    "BoxSegConfig",
    "BoxTeacherConfig",
    "Change",
    "ClipConfig",
    "CocoConfig",
    "CondInstConfig",
    "ConfigError",
    "Frozen",
    "GuidedDistillationConfig",
    "HostConfig",
    "LooksConfig",
    "Mask2FormerConfig",
    "MaskTeacherConfig",
    "MethodConfig",
    "Mistake",
    "PasteConfig",
    "PeerConfig",
    "PlDcConfig",
    "PseudoDepthConfig",
    "RecordConfig",
    "RunConfig",
    "ScheduleConfig",
    "ShapesConfig",
    "SimConfig",
    "SplitConfig",
    "StrongViewConfig",
    "SupervisedConfig",
    "ViewConfig",
    "change_live",
    "flatten",
    "full_key",
    "live_keys",
    "load_run_config",
    "parse_override",
    "parse_run_config",
    "parse_stored_config",
    "with_overrides",
]
