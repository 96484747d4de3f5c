"""/lab/clip-reports: what CLIPs recognised in datasets, as `seglab clip-report` kept it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from app.answers import answer
from app.questions import Question
from lab.store.errors import StoreError

FORMAT = "seglab clip report 1"
KEY = re.compile(r"[a-z0-9-]{1,100}")
SUMMARY = ("key", "created", "dataset", "accuracy", "macro_precision", "macro_recall")


class ReportNotFound(StoreError):
    """No such report; the message names it."""


def router(root: Path) -> APIRouter:
    """The routes over the store in `root`."""
    routes = APIRouter(prefix="/lab/clip-reports")

    @routes.get("")
    def reports(request: Request, _: Annotated[Question, Query()]) -> Response:
        return answer(request, {"root": str(root.absolute()), "reports": list_reports(root)})

    @routes.get("/{key}")
    def report(request: Request, key: str, _: Annotated[Question, Query()]) -> Response:
        return answer(request, read_report(root, key))

    return routes


def list_reports(root: Path) -> list[dict[str, Any]]:
    """What a choice of reports shows, newest first; other files are left out."""
    found = [_load(path) for path in (root / "clip-reports").glob("*.json")]
    rows = [_summary(report) for report in found if report is not None]
    return sorted(rows, key=lambda row: row["created"], reverse=True)


def read_report(root: Path, key: str) -> dict[str, Any]:
    """One whole report. Raises: ReportNotFound."""
    path = root / "clip-reports" / f"{key}.json"
    report = _load(path) if KEY.fullmatch(key) else None
    if report is None:
        raise ReportNotFound(f"there is no CLIP report {key!r} in {root / 'clip-reports'}")
    return report


def _summary(report: dict[str, Any]) -> dict[str, Any]:
    clip = {name: report["clip"][name] for name in ("model", "pretrained")}
    return {name: report[name] for name in SUMMARY} | {"clip": clip}


def _load(path: Path) -> dict[str, Any] | None:
    """The report in a file; None when there is none, or something else."""
    try:
        report = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    ours = isinstance(report, dict) and report.get("format") == FORMAT
    return report if ours and report.get("key") == path.stem else None
