"""Our processes with shorter waits, for whoever cannot wait for ten minutes: `python -m tests.faults.hasty worker`.

The code is the same and so are the proportions, unless they are named: `HASTE=10` divides every wait and every limit of
time in the list below by ten, `HASTE="10 login_spacing_s=0.5"` says of one what it is. What a test measures in such a
process is simulated time: a second stands for ten.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module

# Leaves first: what imports one of these takes its value with it.
_CONSTANTS = (
    ("domain.check_request", "LEASE_S"),
    ("domain.check_request", "RECHECK_AFTER_S"),
    ("domain.check_request", "DOUBT_S"),
    ("domain.check_request", "RING_AGAIN_S"),
    ("adapters.calls.breaker", "PROBING_WAIT_S"),
    ("adapters.calls.breaker", "PROBE_MARGIN_S"),
    ("adapters.postgres.gateway_invoices", "CLOSE_AGAIN_S"),
    ("worker.issue", "ISSUE_DEADLINE_S"),
    ("worker.issue", "AWAIT_S"),
    ("worker.scheduler", "TICK_EVERY_S"),
)
_LIMITS = (("adapters.calls.limits", "CallLimits"), ("adapters.qpay.config", "Limits"))
_AS_THEY_ARE = {"calls_per_s", "redis_timeout_s", "connect_timeout_s"}
"""These bound what happens on this machine, which does not go faster."""
_OURS = ("adapters", "domain", "worker")


def hasten(haste: str) -> None:
    """Shorten the waits of this process, before anything else of ours is imported.

    Raises:
        ValueError: `haste` names something that there is not, or is no haste.

    """
    by, *named = haste.split()
    exact = {name: float(value) for name, value in (each.split("=") for each in named)}
    shorter = _shorter(float(by), exact)
    for module_name, class_name in _LIMITS:
        limits = getattr(import_module(module_name), class_name)
        defaults = limits.__init__.__kwdefaults__
        for field in fields(limits):
            if field.name.endswith("_s") and field.name not in _AS_THEY_ARE:
                defaults[field.name] = shorter(field.name, defaults[field.name])
    for module_name, name in _CONSTANTS:
        module = import_module(module_name)
        before = getattr(module, name)
        setattr(module, name, shorter(name, before))
        _require_nobody_has_the_old(name, before)
    if unknown := exact.keys() - shorter.seen:
        raise ValueError(f"HASTE names what there is not: {', '.join(sorted(unknown))}")


class _shorter:  # noqa: N801 - called like a function
    def __init__(self, by: float, exact: dict[str, float]) -> None:
        self._by = by
        self._exact = exact
        self.seen: set[str] = set()

    def __call__(self, name: str, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        self.seen.add(name)
        if name in self._exact:
            return self._exact[name]
        return tuple(each / self._by for each in value) if isinstance(value, tuple) else value / self._by


def _require_nobody_has_the_old(name: str, value: object) -> None:
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] in _OURS and getattr(module, name, None) is value:
            raise ValueError(f"{module_name} has taken {name} as it was: shorten it earlier")


def main() -> None:
    hasten(os.environ.pop("HASTE"))
    run: Callable[[], None] = import_module("worker.cli.main").main
    run()


if __name__ == "__main__":
    main()
