"""A Ray cluster, as far as runs need it: Ray Jobs takes them, queues them and gives them devices.

Ray is imported when a cluster is asked for, and only then: it is an extra.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lab.store.errors import StoreError

ADDRESS = "http://127.0.0.1:8265"
"""Where Ray's dashboard listens unless it is told otherwise."""
OVERRULING = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Ray's client takes these before the address that it is given."""
STOP_SECONDS = 600
"""How long a run may take to save and stop before Ray kills it; Ray's own default is 3."""

NOT_READY = "No available agent"
"""What a cluster answers that has just been started; it gets READY_SECONDS."""
READY_SECONDS = 90.0

RayStatus = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]


class RayUnavailable(StoreError):
    """Ray is not installed, or the cluster does not answer; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What Ray says of a job."""

    status: RayStatus
    message: str
    exit_code: int | None

    @property
    def has_ended(self) -> bool:
        return self.status in ("STOPPED", "SUCCEEDED", "FAILED")


class Cluster:
    """The jobs of one cluster. Every call raises RayUnavailable when it does not answer."""

    def __init__(self, address: str, client: Any) -> None:
        self.address = address
        self._client = client

    @classmethod
    def connect(cls, address: str | None = None) -> Cluster:
        """The cluster whose dashboard listens at `address`; None = $RAY_ADDRESS, or this machine's.

        Raises:
            RayUnavailable: ray is not installed, nobody answers, or the versions do not fit.
        """
        chosen = address or os.environ.get("RAY_ADDRESS") or ADDRESS
        sdk = _ray("ray.job_submission")
        if not chosen.startswith(("http://", "https://")):
            raise RayUnavailable(
                f"Ray address {chosen!r}: jobs go to the dashboard of the cluster; expected an "
                f"address such as {ADDRESS}"
            )
        try:
            with _nothing_overruling():
                return cls(chosen, sdk.JobSubmissionClient(chosen))
        except ConnectionError:
            raise RayUnavailable(
                f"no Ray cluster answers at {chosen}: start one with `ray start --head`, or say "
                "where it is with --ray-address or RAY_ADDRESS"
            ) from None
        except RuntimeError as error:
            raise RayUnavailable(
                f"the cluster at {chosen} does not fit ray {_version()} here: {_sentence(error)}"
            ) from None
        except Exception as error:
            raise RayUnavailable(f"Ray at {chosen}: {_sentence(error)}") from None

    def submit(
        self, job: str, command: str, environment: Mapping[str, str], cpus: int, gpus: int
    ) -> None:
        """Let the cluster run a shell command as soon as it has so many CPUs and GPUs free."""
        variables = {**environment, "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
        wanted = {
            "entrypoint": command,
            "submission_id": job,
            "runtime_env": {"env_vars": variables},
            "entrypoint_num_cpus": cpus,
            "entrypoint_num_gpus": gpus or None,
        }
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self._ask(self._client.submit_job, **wanted)
                return
            except RayUnavailable as error:
                if NOT_READY not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(1.0)

    def look(self, job: str) -> Seen | None:
        """None when the cluster knows no such job: it was started anew since."""
        try:
            info = self._client.get_job_info(job)
        except RuntimeError as error:
            if "404" in str(error):
                return None
            raise RayUnavailable(f"Ray at {self.address}: {_sentence(error)}") from None
        except Exception as error:
            raise RayUnavailable(f"Ray at {self.address}: {_sentence(error)}") from None
        return Seen(str(info.status.value), info.message or "", info.driver_exit_code)  # pyright: ignore

    def stop(self, job: str) -> None:
        """SIGTERM; SIGKILL after STOP_SECONDS."""
        self._ask(self._client.stop_job, job)

    def log(self, job: str) -> str:
        """What the job has printed so far."""
        return self._ask(self._client.get_job_logs, job)

    def has_gpus(self) -> bool:
        """Whether any living node has one."""
        with _nothing_overruling():
            nodes = self._ask(_ray("ray.util.state").list_nodes, address=self.address)
        alive = [node for node in nodes if node.state == "ALIVE"]
        return any((node.resources_total or {}).get("GPU", 0) > 0 for node in alive)

    def _ask(self, call: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, **named)
        except Exception as error:
            raise RayUnavailable(f"Ray at {self.address}: {_sentence(error)}") from None


class _nothing_overruling:  # noqa: N801 - read as a sentence: with _nothing_overruling()
    """Ray's variables are gone inside the block."""

    def __enter__(self) -> None:
        self._before = {name: os.environ.pop(name, None) for name in OVERRULING}

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is not None:
                os.environ[name] = value


def _ray(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RayUnavailable(
            f"--launcher ray needs Ray, which cannot be imported ({error}): "
            "pip install -e '.[ray]' -c constraints.txt"
        ) from None


def _version() -> str:
    return str(getattr(_ray("ray"), "__version__", "?"))


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
