"""FiftyOne's App over a real database, in a browser: images, the panel, and nobody else asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from app.commands.fiftyone import session_of
from app.fiftyone.app_server import app_server, door_address
from app.fiftyone.database import Address
from app.fiftyone.environment import fiftyone_environment
from app.fiftyone.keeper import free_port
from app.fiftyone.request import Request, build_request
from app.fiftyone.views import KINDS, kind_view
from lab.datasets.records import ErrorKind
from lab.store.queries import get_run
from lab.store.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.fiftyone]

PATIENCE_MS = 60_000
WITHOUT_ADVERTISEMENT = "localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')"
"""FiftyOne's own lies over everything until somebody dismisses it."""


@pytest.fixture(scope="module")
def fiftyone_app(fiftyone_lab: Store, mongo: Address) -> Iterator[str]:
    """The address of a real App."""
    directory = fiftyone_lab.root / "fiftyone"
    environment = fiftyone_environment(mongo, fiftyone_lab.root)
    with app_server(directory, free_port(), environment) as app:
        app.wait_until_up()
        yield app.address


@pytest.fixture
def answered() -> list[str]:
    """Addresses that answered a page; what the browser itself refused to ask is not among them."""
    return []


@pytest.fixture
def app_page(browser: Browser, answered: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page = context.new_page()

    def hear(response: Response) -> None:
        answered.append(response.url)

    page.on("response", hear)
    page.add_init_script(WITHOUT_ADVERTISEMENT)
    yield page
    context.close()


def test_a_saved_view_and_our_panel_open_in_the_app(
    dataset: Any,
    request_of_teacher: Request,
    fiftyone_app: str,
    app_page: Page,
    answered: list[str],
) -> None:
    kind = next(one for one in KINDS if len(dataset.load_saved_view(view_name(one))))
    view = view_name(kind)
    links = session_of(request_of_teacher, fiftyone_app).kinds

    app_page.goto(links[kind.name.lower()])
    expect(app_page.get_by_text(view, exact=True).first).to_be_visible()
    expect(app_page.locator("[data-cy='looker']").first).to_be_visible()
    app_page.get_by_title("New panel").first.click()
    app_page.get_by_text("seglab: errors").first.click()

    expect(app_page.get_by_text("at these thresholds").first).to_be_visible()
    expect(app_page.locator(".js-plotly-plot .bars .point").first).to_be_visible()
    expect(app_page.get_by_role("slider")).not_to_have_count(0)
    assert any("/media?" in one for one in answered)
    assert [one for one in answered if not one.startswith((fiftyone_app, "data:", "blob:"))] == []


def test_a_link_opens_what_it_names_whatever_was_open_before(
    dataset: Any, request_of_teacher: Request, fiftyone_app: str, app_page: Page
) -> None:
    """FiftyOne's own addresses keep to the view that was opened last."""
    door = session_of(request_of_teacher, fiftyone_app).door
    image = dataset.first().image_id

    app_page.goto(f"{door}&kind=cor")
    expect(app_page.get_by_text("latest: Cor", exact=True).first).to_be_visible()
    app_page.goto(f"{door}&called=cat&lies_on=cat")
    expect(app_page.get_by_text("latest: cat for cat", exact=True).first).to_be_visible()
    app_page.goto(f"{door}&image={image}")
    expect(app_page.locator("[data-cy='modal']").first).to_be_visible()
    assert app_page.url.endswith(f"?id={dataset.first().id}")


def test_the_panel_opens_on_what_was_asked_for_last(
    fiftyone_lab: Store, fiftyone_app: str, app_page: Page
) -> None:
    from app.fiftyone.showing import show

    run, other = (get_run(fiftyone_lab, name) for name in ("teacher", "teacher-strict"))
    request = build_request(fiftyone_lab.root, run, iterations=(4,), last=True, others=(other,))
    show(fiftyone_lab, request)
    show(fiftyone_lab, build_request(fiftyone_lab.root, run))
    panel = app_page.get_by_role("combobox")

    app_page.goto(door_address(fiftyone_app, request.dataset, "latest_teacher_strict"))
    app_page.get_by_title("New panel").first.click()
    app_page.get_by_text("seglab: errors").first.click()
    expect(panel.filter(has_text="teacher-strict: newest labels")).to_be_visible()

    show(fiftyone_lab, build_request(fiftyone_lab.root, run, iterations=(4,)))
    app_page.reload()
    expect(panel.filter(has_text="teacher: labels up to step 4")).to_be_visible()


def test_fiftyones_own_evaluation_panel_opens_on_our_matches(
    dataset: Any, request_of_teacher: Request, fiftyone_app: str, app_page: Page
) -> None:
    right = dataset.sum("eval_latest_tp")

    app_page.goto(session_of(request_of_teacher, fiftyone_app).door)
    app_page.get_by_title("New panel").first.click()
    app_page.get_by_text("Model Evaluation").first.click()
    expect(app_page.get_by_text("mAP and mAR are COCO's").first).to_be_visible()
    app_page.get_by_text("eval_latest", exact=True).first.click()

    row = app_page.locator("tr", has_text="True Positives")
    expect(row).to_contain_text(str(right))
    ap = dataset.load_evaluation_results("eval_latest").mAP()
    expect(app_page.locator("tr", has_text="mAP")).to_contain_text(f"{ap:.2f}")


def view_name(kind: ErrorKind) -> str:
    """Of the saved view of the newest kept labels of a kind."""
    return kind_view("latest", kind).name
