"""docs/local-testing.md tells the truth about the simulator."""

import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from simulator.app import CONTROLS
from simulator.faults import Fault
from simulator.switches import Switches, as_json
from tests.simulator.shop import Bearer, Shop

PAGE = (Path(__file__).parents[2] / "docs" / "local-testing.md").read_text(encoding="utf-8")
CURL = re.compile(r"^curl -X (\w+) http://127\.0\.0\.1:8001(\S+)(?: -d '(.*)')?$", re.MULTILINE)


def test_every_command_that_is_shown_works(shop: Shop, bearer: Bearer) -> None:
    commands = CURL.findall(PAGE)
    for number in range(1, 7):
        bearer.issue(f"order-{number}", amount=1_000, allow_partial=True)

    answers = [shop.http.request(method, path, content=body) for method, path, body in commands]

    assert len(commands) == PAGE.count("curl -X ")
    assert [(one.request.url.path, one.text) for one in answers if one.is_error] == []


@pytest.mark.parametrize("named", [*(kind.value for kind in Fault), *as_json(Switches())])
def test_every_fault_and_switch_is_explained(named: str) -> None:
    assert f"\n| `{named}` |" in PAGE


def test_every_path_of_the_control_api_is_listed() -> None:
    routes = [route for router in CONTROLS for route in router.routes if isinstance(route, APIRoute)]
    paths = {(method, route.path.replace("{payment_id}", "{id}")) for route in routes for method in route.methods or ()}

    listed = {
        (method, path)
        for methods, path in re.findall(r"^\| (`[A-Z`, ]+`) \| `(/simulator/[^`]+)` \|", PAGE, re.MULTILINE)
        for method in re.findall("[A-Z]+", methods)
    }
    assert listed == paths
