"""One server: our own answers under /lab, Gradio's pages at the root."""

from __future__ import annotations

import warnings
from pathlib import Path

import gradio as gr
import plotly
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from gradio.themes import Base

from app import (
    api_acts,
    api_clip,
    api_compare,
    api_errors,
    api_fiftyone,
    api_labels,
    api_launch,
    api_pictures,
    api_run_data,
    api_runs,
    api_sizes,
    api_timeline,
    api_what_if,
)
from app.answers import explain_errors
from app.guard import Credentials, Guard
from app.not_found import NotFoundPage
from app.pages import compare, data, errors, labels, launch, live, runs, timeline, what_if
from app.parts import STATIC

SYSTEM_SANS = ["system-ui", "-apple-system", "Segoe UI", "Helvetica", "Arial", "sans-serif"]
SYSTEM_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace"]


def build_server(root: Path, *, credentials: Credentials | None = None) -> FastAPI:
    """The whole dashboard of the store in `root`, which need not exist yet.

    With `credentials`, every route asks for them; without, only loopback names are answered.
    """
    app = build_routes(root)
    serve_static(app)
    mount_pages(app)
    app.add_middleware(NotFoundPage)
    app.add_middleware(Guard, credentials=credentials)
    return app


def build_routes(root: Path) -> FastAPI:
    """Our own answers alone, unguarded and without pages."""
    app = FastAPI(title="seglab", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(api_runs.router(root))
    app.include_router(api_sizes.router(root))
    app.include_router(api_acts.router(root))
    app.include_router(api_launch.router(root))
    app.include_router(api_compare.router(root))
    app.include_router(api_clip.router(root))
    app.include_router(api_run_data.router(root))
    app.include_router(api_errors.router(root))
    app.include_router(api_fiftyone.router(root))
    app.include_router(api_labels.router(root))
    app.include_router(api_timeline.router(root))
    app.include_router(api_what_if.router(root))
    app.include_router(api_pictures.router(root))
    explain_errors(app)
    return app


def mount_pages(app: FastAPI) -> None:
    """Put Gradio at the root; routes that are there already come first."""
    with warnings.catch_warnings():
        # Several pages rule out its server-side rendering, which we do not ask for.
        warnings.filterwarnings("ignore", message="SSR mode is not supported")
        gr.mount_gradio_app(
            app,
            build_pages(),
            path="/",
            theme=Base(font=SYSTEM_SANS, font_mono=SYSTEM_MONO),
            head_paths=[STATIC / "head.html"],
            favicon_path=str(STATIC / "favicon.svg"),
            footer_links=[],
            ssr_mode=False,
        )


def build_pages() -> gr.Blocks:
    """One Gradio app, one route per page."""
    with gr.Blocks(title="seglab", analytics_enabled=False, fill_width=True) as pages:
        runs.build()
    with pages.route(live.TITLE, "/live", show_in_navbar=False):
        live.build()
    with pages.route(labels.TITLE, "/labels", show_in_navbar=False):
        labels.build()
    with pages.route(timeline.TITLE, "/timeline", show_in_navbar=False):
        timeline.build()
    with pages.route(errors.TITLE, "/errors", show_in_navbar=False):
        errors.build()
    with pages.route(what_if.TITLE, "/what-if", show_in_navbar=False):
        what_if.build()
    with pages.route(compare.TITLE, "/compare", show_in_navbar=False):
        compare.build()
    with pages.route(launch.TITLE, "/launch", show_in_navbar=False):
        launch.build()
    with pages.route(data.TITLE, "/data", show_in_navbar=False):
        data.build()
    return pages


def serve_static(app: FastAPI) -> None:
    """Our scripts, and plotly's as it comes with the installed package."""
    plotly_js = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"

    def plotly_script() -> FileResponse:
        return FileResponse(plotly_js, media_type="text/javascript")

    app.add_api_route("/lab/plotly.min.js", plotly_script, methods=["GET"])
    app.mount("/lab/static", StaticFiles(directory=STATIC), name="static")
