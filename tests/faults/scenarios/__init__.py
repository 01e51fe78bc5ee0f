"""The scenarios, by the numbers that the design gives them."""

from tests.faults.scenario import Scenario
from tests.faults.scenarios import (
    callbacks,
    credentials,
    database,
    discovery,
    doorbell,
    forgers,
    gateway,
    look_back,
    network,
    notifications,
    refresh,
    schedule,
    workers,
)

SCENARIOS: dict[int, Scenario] = {
    scenario.number: scenario
    for scenario in sorted(
        (
            *workers.SCENARIOS,
            *doorbell.SCENARIOS,
            *database.SCENARIOS,
            *network.SCENARIOS,
            *notifications.SCENARIOS,
            *callbacks.SCENARIOS,
            *forgers.SCENARIOS,
            *gateway.SCENARIOS,
            *credentials.SCENARIOS,
            *discovery.SCENARIOS,
            *look_back.SCENARIOS,
            *refresh.SCENARIOS,
            *schedule.SCENARIOS,
        ),
        key=lambda scenario: scenario.number,
    )
}
