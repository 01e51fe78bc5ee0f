"""The pages of docs/integrate/ work as they stand: their files are taken out of them and run against `tootsoo up`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.test_local import start
from tests.merchant import SECRET, an_application
from tests.waiting import wait_until
from worker.local import free_port

pytestmark = pytest.mark.slow

PAGES = Path(__file__).parents[2] / "docs" / "integrate"
HARNESS = Path(__file__).parent / "integrate"
FILE = re.compile(r"^```\w+\n(?://|#) ([\w./\[\]-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

NODE, NPM = shutil.which("node"), shutil.which("npm")
TOLD_AT = "/tootsoo/notifications"

DJANGO_SETTINGS = """
SECRET_KEY = "only for this test"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """What `tootsoo up` printed."""

    api: str
    key: str
    simulator: str
    shop_port: int
    """Where it tells an application."""

    def env(self) -> dict[str, str]:
        """What the pages ask for, and nothing that could lead elsewhere."""
        own = {"TOOTSOO_URL": self.api, "TOOTSOO_KEY": self.key, "NOTIFY_SECRET": SECRET, "PORT": str(self.shop_port)}
        return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | own

    def pay(self, order: str) -> None:
        """Be the customer."""
        answer = httpx.post(f"{self.simulator}/simulator/pay", json={"number": order}, timeout=20, trust_env=False)
        assert answer.status_code == 201, answer.text


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder that servers may use which run as another user: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="tootsoo-integrate-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def up(home: Path) -> Iterator[Up]:
    shop_port = free_port()
    process = start(
        home, "up", "--web-port", str(free_port()), "--simulator-port", str(free_port()),
        "--notify-url", f"http://127.0.0.1:{shop_port}{TOLD_AT}", "--notify-secret", SECRET,
    )  # fmt: skip
    assert process.stdout is not None
    printed = ""
    try:
        while "Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        found = dict(re.findall(r"^  (API|Simulator|API key|Tells|with) +(\S+)$", printed, re.MULTILINE))
        assert (found["Tells"], found["with"]) == (f"http://127.0.0.1:{shop_port}{TOLD_AT}", SECRET)
        yield Up(api=found["API"], key=found["API key"], simulator=found["Simulator"], shop_port=shop_port)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def files_of(page: str, *, order: str) -> Mapping[str, str]:
    """Return the files of a page by their names, about an order of one's own."""
    found = dict(FILE.findall((PAGES / f"{page}.md").read_text(encoding="utf-8")))
    assert found
    return {name: text.replace("order-1", order) for name, text in found.items()}


def write(page: str, into: Path, *, order: str) -> Path:
    for name, text in files_of(page, order=order).items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return into


def takes_a_payment(up: Up, command: Sequence[str], *, cwd: Path, order: str) -> None:
    """Run a shop, let a customer pay in it, and wait until it knows; and let a stranger say so before, in vain."""
    # A form of Django's sends its token twice; the others do not look.
    form = {"Cookie": f"csrftoken={'c' * 32}", "X-CSRFToken": "c" * 32}
    with (
        running(command, cwd=cwd, env=up.env()) as log,
        httpx.Client(base_url=f"http://127.0.0.1:{up.shop_port}", headers=form, timeout=30, trust_env=False) as shop,
    ):

        def look() -> dict[str, Any] | None:
            try:
                answer = shop.get(f"/orders/{order}")
            except httpx.TransportError:
                return None
            return answer.json() if answer.is_success else None

        try:
            wait_until(lambda: look() == {"paid": False}, within_s=60)
            assert httpx.post(f"{shop.base_url}{TOLD_AT}", json=a_lie(order), trust_env=False).status_code == 400
            assert shop.post(TOLD_AT, json=a_lie(order), headers=badly_signed()).status_code == 400
            assert shop.get("/orders/nobodys").status_code == 404

            link = shop.post(f"/orders/{order}/pay")
            assert link.is_success, link.text
            assert {"qrText", "qrImage", "links"} <= link.json().keys()
            assert look() == {"paid": False}
            up.pay(order)

            wait_until(lambda: look() == {"paid": True}, within_s=60)
        except AssertionError as error:
            raise AssertionError(f"{order}: {error}\n{log.read_text(encoding='utf-8')[-4_000:]}") from error


def a_lie(order: str) -> dict[str, Any]:
    invoice = {"id": order, "balance": {"status": "paid"}}
    return {"type": "invoice.paid", "data": {"sequence": 9, "invoice": invoice}}


def badly_signed() -> dict[str, str]:
    return {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,bm90IG91cnM= v1 ,"}


@contextmanager
def running(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Iterator[Path]:
    """Run a shop, and give its log."""
    log = cwd / "shop.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield log
    finally:
        process.kill()
        process.wait()


def need(tool: str | None, why: str) -> None:
    if tool is None:
        if os.environ.get("TOOTSOO_INTEGRATION") == "required":
            pytest.fail(f"{why} (TOOTSOO_INTEGRATION=required)")
        pytest.skip(why)


def test_the_pages_for_python_take_a_payment(up: Up, tmp_path: Path) -> None:
    fastapi = write("fastapi", tmp_path / "fastapi", order="order-fastapi")
    takes_a_payment(
        up,
        [sys.executable, "-m", "uvicorn", "shop:app", "--port", str(up.shop_port)],
        cwd=fastapi,
        order="order-fastapi",
    )

    django = write("django", tmp_path / "django", order="order-django")
    (django / "shop" / "__init__.py").touch()
    (django / "settings.py").write_text(DJANGO_SETTINGS, encoding="utf-8")
    serve = ["runserver", f"127.0.0.1:{up.shop_port}", "--noreload", "--skip-checks", "--settings", "settings"]
    takes_a_payment(
        up,
        [sys.executable, "-m", "django", *serve, "--pythonpath", "."],
        cwd=django,
        order="order-django",
    )


def test_the_pages_for_node_take_a_payment(up: Up, tmp_path: Path) -> None:
    need(NODE and NPM, "there is no node with npm: on Debian, apt-get install nodejs npm")
    assert NODE is not None
    assert NPM is not None
    express = write("express", tmp_path / "express", order="order-express")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HARNESS / name, express / name)
    installed = subprocess.run(
        [NPM, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=express,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    takes_a_payment(up, [NODE, "shop.mjs"], cwd=express, order="order-express")

    # The route handlers of Next.js speak Request and Response, which Node has: they run without the framework.
    nextjs = write("nextjs", express / "nextjs", order="order-nextjs")
    takes_a_payment(up, [NODE, str(HARNESS / "routes.mjs")], cwd=nextjs, order="order-nextjs")


def test_the_page_for_curl_takes_a_payment_and_verifies_what_it_is_told(up: Up, tmp_path: Path) -> None:
    need(
        shutil.which("curl") and shutil.which("openssl"),
        "there is no curl with openssl: on Debian, apt-get install them",
    )
    order = "order-curl"
    here = write("curl", tmp_path / "curl", order=order)

    def sh(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", script, *arguments],
            cwd=here,
            env=up.env(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with an_application(port=up.shop_port) as application:
        made = sh("pay.sh", order, "25000")
        assert made.returncode == 0, made.stderr
        assert {"qrText", "qrImage", "links"} <= json.loads(made.stdout).keys()
        assert sh("paid.sh", order).returncode == 1
        up.pay(order)
        wait_until(lambda: bool(application.taken()), within_s=60)

    (told,) = application.taken()
    signed = [told.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")]
    (here / "body").write_bytes(told.body)
    (here / "forged").write_bytes(told.body.replace(b"25000", b"99000"))
    assert sh("paid.sh", order).returncode == 0
    assert sh("verify.sh", *signed, "body").returncode == 0
    assert sh("verify.sh", signed[0], signed[1], f"v1,bm90IG91cnM= {signed[2]}", "body").returncode == 0
    assert sh("verify.sh", *signed, "forged").returncode == 1
    assert sh("verify.sh", signed[0], str(int(signed[1]) - 400), signed[2], "body").returncode == 1
    assert sh("verify.sh", signed[0], "x", signed[2], "body").returncode == 1


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_what_a_page_links_to_exists(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []
