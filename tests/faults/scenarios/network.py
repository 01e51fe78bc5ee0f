"""9: whatever a network can do, towards each of the three servers: every call has an end."""

import time

from tests.faults.fleet import FaultError
from tests.faults.network import Network, Weather
from tests.faults.oracle import Budget
from tests.faults.scenario import Scenario
from tests.faults.shop import CALL_WITHIN_S
from tests.faults.stage import Stage

ANSWER_WITHIN_S = {"PostgreSQL": 20.0, "Valkey": 12.0, "QPay": 12.0}
"""How long callbacks and /readyz may take: a checkout and a statement at PostgreSQL, seconds without the others."""

HEALS_WITHIN_S = 90.0
"""A create whose outcome nobody knows is given up after a minute; a login is repeated after half of one."""


def bad_weather(stage: Stage) -> None:
    """One kind of weather after another, to one server after another, under load and with connections in the pools."""
    stage.start_workers(2)
    networks = {"PostgreSQL": stage.postgres, "Valkey": stage.redis, "QPay": stage.gateway}
    for name in stage.rng.sample(list(networks), len(networks)):
        weather = stage.rng.choice(list(Weather))
        _endure(stage, name, networks[name], weather)
    stage.healed()


def _endure(stage: Stage, name: str, network: Network, weather: Weather) -> None:
    label = f"{weather.name}-{name}".replace("_", "-")
    warm = stage.shop.open_many(6, stage.rng, prefix=f"{label}-warm", patience_s=HEALS_WITHIN_S)
    for sale in warm:
        stage.shop.pay(sale)
    network.strike(weather)
    slowest = 0.0
    for sale in warm:
        begun = time.monotonic()
        stage.shop.call_back(sale, sale.payments[0])
        slowest = max(slowest, time.monotonic() - begun)
    begun = time.monotonic()
    stage.shop.readiness()
    readiness_s = time.monotonic() - begun
    begun = time.monotonic()
    stage.shop.put(f"{label}-new", 1_000)
    stage.shop.ask_for_qr(f"{label}-new")
    link_s = time.monotonic() - begun
    network.mend()
    stage.look()
    stage.notes.append(
        f"{name} {weather}: callback {slowest:.1f} s, readyz {readiness_s:.1f} s, pay-link {link_s:.1f} s"
    )
    for what, took_s in (("callback", slowest), ("/readyz", readiness_s)):
        if took_s > ANSWER_WITHIN_S[name]:
            raise FaultError(f"{what} took {took_s:.1f} s with {weather} towards {name}")
    if link_s > CALL_WITHIN_S:
        raise FaultError(f"a pay-link took {link_s:.1f} s with {weather} towards {name}")
    stage.await_ready()
    again = stage.shop.open(f"{label}-after", stage.rng.randint(100, 10**6), patience_s=HEALS_WITHIN_S)
    stage.shop.pay(again)


SCENARIOS = (
    Scenario(
        number=9,
        title="black hole, half-open, 1 byte/s or reset, to each server",
        play=bad_weather,
        within_s=60,
        budget=Budget(checks_per_qr=8, logins=4),
    ),
)
