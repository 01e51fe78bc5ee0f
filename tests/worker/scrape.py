"""Reads what a process tells Prometheus."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(url: str, token: str | None = None) -> "Scrape":
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = httpx.get(url, headers=headers, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    return Scrape(answer.text)


class Scrape:
    """One answer, by metric and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.series: Series = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, metric: str, **labels: str) -> float:
        """The sum of the series of this metric that have these labels; nothing is an error."""
        found = [
            value for (name, of), value in self.series.items() if name == metric and labels.items() <= dict(of).items()
        ]
        assert found, f"no {metric} with {labels}"
        return sum(found)

    def names(self) -> set[str]:
        return {name for name, _ in self.series}
