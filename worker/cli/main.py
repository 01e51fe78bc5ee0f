"""The command line put together, and how it ends: 0 done, 1 the answer is bad news, 2 wrong usage or settings."""

import sys

import typer

from worker.cli import corrections, discrepancies, keys, local, processes, simulate, verify
from worker.local import LocalError
from worker.logs import configure_logs
from worker.settings import SettingsError
from worker.starting import StartError

app = typer.Typer(
    name="tootsoo",
    help="Every payment on exactly one invoice, exactly once. Settings come from the environment or .env.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
local.add_to(app)
processes.add_to(app)
simulate.add_to(app)
corrections.add_to(app)
app.add_typer(discrepancies.app)
verify.add_to(app)
app.add_typer(keys.app)


def main() -> None:
    """Run a command and exit; what is wrong with its settings or servers is one line on standard error."""
    # For commands that are not processes: what they answer is on standard output, so warnings go elsewhere.
    configure_logs(process="tootsoo", log_format="console", log_level="warning")
    try:
        app()
    except SettingsError as error:
        _give_up(error, code=2)
    except LocalError as error:
        _give_up(error, code=error.exit_code)
    except StartError as error:
        _give_up(error, code=1)
    except PermissionError as error:
        _give_up(f"{error.filename} may not be read or written by this user", code=1)


def _give_up(error: Exception | str, *, code: int) -> None:
    sys.stderr.write(f"tootsoo: {error}\n")
    sys.exit(code)
