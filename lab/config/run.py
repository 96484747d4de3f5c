"""A run, completely."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from lab.config.box_method import BoxMethodConfig
from lab.config.dataset import CocoConfig, ShapesConfig, SplitConfig, ViewConfig
from lab.config.fields import Count, Frozen
from lab.config.host import CondInstConfig, HostConfig
from lab.config.method import MethodConfig, SupervisedConfig
from lab.config.pseudo_depth import PseudoDepthConfig
from lab.config.schedule import RecordConfig, ScheduleConfig


class RunConfig(Frozen):
    """A run, completely. What is stored is this, resolved."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = "run"
    """What people call it; identity is the run id."""
    seed: Count = 0
    dataset: Annotated[ShapesConfig | CocoConfig, Field(discriminator="source")] = ShapesConfig()
    split: SplitConfig = SplitConfig()
    view: ViewConfig = ViewConfig()
    host: HostConfig = CondInstConfig()
    method: MethodConfig = SupervisedConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    record: RecordConfig = RecordConfig()

    @model_validator(mode="before")
    @classmethod
    def _depth_guides_masks(cls, data: Any) -> Any:
        """Pseudo-Depth's mask head needs no second line in a file; `depth_layer = false` stays."""
        method = data.get("method") if isinstance(data, dict) else None
        if not isinstance(method, dict) or method.get("name") != "pseudo_depth":
            return data
        host = data.get("host", {})
        if not isinstance(host, dict) or host.get("name", "condinst") != "condinst":
            return data
        guided = bool(method.get("depth_guided", True))
        return {**data, "host": {"depth_layer": guided, **host}}

    @model_validator(mode="after")
    def _depth_layer_fits(self) -> RunConfig:
        if not isinstance(self.method, PseudoDepthConfig) or not self.method.depth_guided:
            return self
        if isinstance(self.host, CondInstConfig) and self.host.depth_layer:
            return self
        advice = 'take host.name = "condinst"'
        if isinstance(self.host, CondInstConfig):
            advice = "host.depth_layer = false has to be true"
        raise ValueError(
            "method pseudo_depth multiplies mask logits by a predicted depth, which needs a host "
            f"with a depth layer: {advice}, or method.depth_guided = false"
        )

    @model_validator(mode="after")
    def _distils_in_time(self) -> RunConfig:
        method, last = self.method, self.schedule.max_steps
        if not isinstance(method, PseudoDepthConfig) or method.dice_weight == 0:
            return self
        if method.distil_from >= last:
            raise ValueError(
                f"method.distil_from {method.distil_from} leaves no step of schedule.max_steps "
                f"{last} for the teacher; method.dice_weight = 0 trains without it"
            )
        return self

    @model_validator(mode="after")
    def _steps_add_up(self) -> RunConfig:
        if not isinstance(self.method, SupervisedConfig | BoxMethodConfig):
            if self.schedule.unlabeled_batch < 1:
                raise ValueError(f"method {self.method.name} needs schedule.unlabeled_batch >= 1")
            if self.method.burn_in_steps >= self.schedule.max_steps:
                raise ValueError(
                    f"method.burn_in_steps {self.method.burn_in_steps} leaves no step of "
                    f"schedule.max_steps {self.schedule.max_steps} for pseudo-labels"
                )
        return self
