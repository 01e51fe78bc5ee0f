"""The command that runs the simulator."""

import json
from typing import Annotated

import typer

from worker.cli.processes import start_logs
from worker.compose.simulating import run_simulator
from worker.settings import SimulatorSettings, load

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of words.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 8001,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53, help="Draw faults from this seed; one by chance is printed.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND=PROBABILITY or KIND@ENDPOINT=PROBABILITY, several times; * is all kinds together."),
    ] = None,
    switch: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, several times: how the gateways are to behave.")
    ] = None,
    public: Annotated[bool, typer.Option(help="Allow an address that others can reach.")] = False,
    call_anywhere: Annotated[
        bool, typer.Option(help="Send callbacks to other machines too, such as through a tunnel.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a QPay and a SocialPay on this machine that can be paid; page and control API are at the address it prints.

    Kinds of faults, endpoints and switches: docs/local-testing.md.

    Example: tootsoo simulate --port 8001 --seed 7 --fault '*=0.2' --switch qrImageIsEmpty=true
    """
    settings = load(SimulatorSettings)
    start_logs("simulator", settings)

    def tell(url: str, seed: int) -> None:
        words = f"{url}\nThis is a simulator: no money moves here. Faults are drawn from seed {seed}."
        typer.echo(json.dumps({"url": url, "seed": seed}) if as_json else words)

    run_simulator(
        settings,
        host=host,
        port=port,
        seed=seed,
        faults=dict(_fault(one) for one in fault or []),
        switches=dict(_named(one, what="--switch", form="NAME=VALUE") for one in switch or []),
        public=public,
        call_anywhere=call_anywhere,
        on_ready=tell,
    )


def _fault(text: str) -> tuple[tuple[str, str], float]:
    form = "KIND=PROBABILITY or KIND@ENDPOINT=PROBABILITY, with a probability from 0 to 1"
    which, probability = _named(text, what="--fault", form=form)
    kind, _, endpoint = which.partition("@")
    try:
        likely = float(probability)
    except ValueError:
        likely = -1.0
    if not 0 <= likely <= 1:
        raise typer.BadParameter(f"--fault should be {form}")
    return (kind, endpoint or "*"), likely


def _named(text: str, *, what: str, form: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not (name and equals and value):
        raise typer.BadParameter(f"{what} should be {form}")
    return name.strip(), value.strip()
