"""The simulator."""

import secrets
from collections.abc import Callable, Mapping

from simulator import server as simulator
from simulator.facts import Merchant, Terminal
from simulator.faults import Rule
from simulator.switches import switched
from worker.setting_values import SimulatedMerchant
from worker.settings import SOCIALPAY_WEBHOOK, SettingsError, SimulatorSettings
from worker.starting import StartError


def run_simulator(
    settings: SimulatorSettings,
    *,
    host: str,
    port: int,
    seed: int | None = None,
    faults: Mapping[tuple[str, str], float] | None = None,
    switches: Mapping[str, str] | None = None,
    public: bool = False,
    call_anywhere: bool = False,
    on_ready: Callable[[str, int], None],
) -> None:
    """Run the simulator until SIGTERM or SIGINT.

    `faults` are probabilities by kind and endpoint, `switches` values by name; either may be `*` for every one of them
    in `faults`. `on_ready` gets the URL and the seed from which faults are drawn.

    Raises:
        StartError: the address is taken, or cannot be listened on.
        SettingsError: others could reach the address; there is no such fault or switch.

    """
    own = SimulatedMerchant(
        username=settings.qpay_username, password=settings.qpay_password, invoice_code=settings.qpay_invoice_code
    )
    merchants = [
        Merchant(username=one.username, password=one.password.get_secret_value(), invoice_code=one.invoice_code)
        for one in (*settings.simulator_merchants, own)
    ]
    terminal = Terminal(
        terminal=settings.socialpay_terminal,
        secret=settings.socialpay_secret.get_secret_value(),
        push_url=f"{settings.public_url}{SOCIALPAY_WEBHOOK}" if settings.public_url else "",
    )
    chosen = secrets.randbelow(simulator.SEED_MAX) if seed is None else seed
    try:
        simulator.run(
            merchants=merchants,
            terminals=[terminal],
            host=host,
            port=port,
            seed=chosen,
            rules=[
                Rule(kind=kind, endpoint=endpoint, probability=probability)
                for (kind, endpoint), probability in (faults or {}).items()
            ],
            switches=switched(switches or {}),
            allow_public=public,
            call_anywhere=call_anywhere,
            on_ready=lambda url: on_ready(url, chosen),
        )
    except OSError as error:
        raise StartError(f"the simulator cannot listen on {host}:{port}: {error}") from None
    except ValueError as error:
        raise SettingsError(str(error)) from None
