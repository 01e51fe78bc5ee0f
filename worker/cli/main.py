"""The command line put together, and how it ends: 0 done, 1 the answer is bad news, 2 wrong usage or settings."""

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import psycopg
import typer

from adapters.postgres.ledger import LedgerBusyError
from worker.cli.refusals import RefusedError
from worker.logs import configure_logs
from worker.settings import SettingsError
from worker.starting import LocalError, StartError

_MODULE_OF = {
    "demo": "local",
    "up": "local",
    "migrate": "processes",
    "web": "processes",
    "worker": "processes",
    "scheduler": "processes",
    "simulate": "simulate",
    "refund": "corrections",
    "assign": "corrections",
    "void": "corrections",
    "record-payment": "record_payment",
    "statement": "statement",
    "discrepancies": "discrepancies",
    "discover": "discover",
    "refresh": "refresh",
    "replay": "replay",
    "parked": "parked",
    "notifications": "notifications",
    "verify": "verify",
    "doctor": "doctor",
    "reconcile": "reconcile",
    "explain": "explain",
    "keys": "keys",
}
"""Where each command is, in the order of the help."""


def commands(arguments: Sequence[str]) -> typer.Typer:
    """Put together what these arguments need: one command without loading all others, which takes a second."""
    app = typer.Typer(
        name="tootsoo",
        help="Every payment on exactly one invoice, exactly once. Settings come from the environment or .env.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_nothing_before_a_command)
    wanted = _MODULE_OF.get(arguments[0]) if arguments else None
    for module in [wanted] if wanted else dict.fromkeys(_MODULE_OF.values()):
        import_module(f"worker.cli.{module}").add_to(app)
    return app


def _nothing_before_a_command() -> None:
    """Keep a single command from being taken for the whole."""


def main() -> None:
    """Run a command and exit; what is wrong is one line on standard error, or JSON on standard output."""
    # For commands that are not processes: what they answer is on standard output, so warnings go elsewhere.
    configure_logs(process="tootsoo", log_format="console", log_level="warning")
    try:
        commands(sys.argv[1:])()
    except RefusedError as error:
        _give_up(error, code=error.exit_code, name=error.code)
    except SettingsError as error:
        _give_up(error, code=2, name="SETTINGS")
    except LocalError as error:
        _give_up(error, code=error.exit_code, name="LOCAL")
    except StartError as error:
        _give_up(error, code=1, name="CANNOT_START")
    except LedgerBusyError:
        _give_up("others are changing the same payments: nothing was written, try again", code=1, name="DATABASE_BUSY")
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        _give_up(f"PostgreSQL took too long: somebody holds what this needs. {_AGAIN}", code=1, name="DATABASE_BUSY")
    except psycopg.OperationalError as error:
        message = f"the connection to PostgreSQL failed ({type(error).__name__}). {_AGAIN}"
        _give_up(message, code=1, name="DATABASE_DOWN")
    except PermissionError as error:
        message = f"{error.filename} may not be read or written by this user"
        _give_up(message, code=1, name="NOT_PERMITTED")


_AGAIN = "Try again; what has a --key is done once with the same key"


def _give_up(error: Exception | str, *, code: int, name: str) -> NoReturn:
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": {"code": name, "message": str(error)}}, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"tootsoo: {error}\n")
    sys.exit(code)
