"""What the processes of one merchant share through Redis: the names of its keys, and steps that are atomic there."""

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from adapters.calls.counterpart import Counterpart
from domain.gateway import GatewayHeldBackError


class Shared:
    """Keys and scripts of one merchant at one gateway, told apart by address and account."""

    def __init__(self, redis: Redis, *, counterpart: Counterpart) -> None:
        self._redis = redis
        self.counterpart = counterpart
        self._merchant = hashlib.sha256(f"{counterpart.api_url}\n{counterpart.account}".encode()).hexdigest()[:32]
        self._scripts: dict[str, AsyncScript] = {}

    def key(self, name: str) -> str:
        """Return the key of this merchant for `name`; it tells neither address nor account."""
        return f"tootsoo:{self.counterpart.name}:{name}:{self._merchant}"

    async def run(self, script: str, *, keys: Sequence[str], args: Sequence[str | int] = ()) -> Any:
        """Run one Lua script, atomically.

        Raises:
            GatewayHeldBackError: Redis does not answer, or does not write.

        """
        if script not in self._scripts:
            self._scripts[script] = self._redis.register_script(script)
        try:
            return await self._scripts[script](keys=keys, args=args)
        except (RedisError, OSError, RuntimeError) as error:  # the last by uvloop, of a connection that was just reset
            kind = type(error).__name__  # its text may carry the address
        raise GatewayHeldBackError(f"Redis, which all calls to {self.counterpart.title} need, does not answer ({kind})")
