"""One process of its own that checks one invoice: `python -m tests.adapters.qpay.check_once`, settings on stdin."""

import json
import sys
import time

from pydantic import SecretStr

from adapters.qpay.config import QPayConfig
from adapters.qpay.gateway import QPayGateway
from tests.adapters.refs import ref


def main() -> None:
    settings = json.load(sys.stdin)
    config = QPayConfig(
        base_url=settings["base_url"],
        username=settings["username"],
        password=SecretStr("s3cret-pass"),
        invoice_code="TEST_INVOICE",
        allow_partial=False,
    )
    with QPayGateway(config, redis_url=settings["redis_url"], now=time.time) as gateway:
        sys.stdout.write(str(len(gateway.check(ref("i-1")).rows)))


if __name__ == "__main__":
    main()
