"""The scenarios, by the numbers that the design gives them."""

from tests.faults.scenario import Scenario
from tests.faults.scenarios import callbacks, database, doorbell, network, refresh, schedule, workers

SCENARIOS: dict[int, Scenario] = {
    scenario.number: scenario
    for scenario in sorted(
        (
            *workers.SCENARIOS,
            *doorbell.SCENARIOS,
            *database.SCENARIOS,
            *network.SCENARIOS,
            *callbacks.SCENARIOS,
            *refresh.SCENARIOS,
            *schedule.SCENARIOS,
        ),
        key=lambda scenario: scenario.number,
    )
}
