"""A run, completely."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from lab.config.box_method import BoxMethodConfig
from lab.config.dataset import CocoConfig, ShapesConfig, SplitConfig, ViewConfig
from lab.config.fields import Count, Frozen
from lab.config.host import CondInstConfig, HostConfig
from lab.config.method import MethodConfig, SupervisedConfig
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
