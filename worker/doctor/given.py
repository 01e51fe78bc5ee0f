"""What is given: the names of everything in the environment and `.env`, and each secret with its name."""

import os
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource

from worker.settings import CommonSettings


def names_given() -> set[str]:
    """Return the names in the environment and in `.env`, whatever they are for."""
    in_file = DotEnvSettingsSource(CommonSettings).env_vars
    return {name.upper() for name in (*os.environ, *in_file)}


def named_secrets_in(*groups: object) -> list[tuple[str, str]]:
    """Return each secret with the name of its setting, passwords inside URLs included; one of them may have several."""
    named: list[tuple[str, str]] = []
    for group in groups:
        for name, value in vars(group).items():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, SecretStr):
                    named.append((name.upper(), part.get_secret_value()))
                elif isinstance(part, str) and "://" in part and (password := urlsplit(part).password):
                    named.append((name.upper(), unquote(password)))
    return named
