"""Build the images: `python -m deploy.containers --help`.

Prints a JSON object: what each image is for, and its name. An image that is there already is not built again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable

from deploy.containers import engine, images
from deploy.local import kafka_jars, program
from deploy.local.errors import SetupError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.containers", description=__doc__)
    parser.add_argument("--base", default=images.OFFICIAL_BASE, help="image that has Python (default: %(default)s)")
    parser.add_argument(
        "--without-registry",
        metavar="SUITE",
        help="reach for no image registry: make the base from a suite of Debian's packages, such as bookworm, with"
        " debootstrap, and on it images of PostgreSQL and Kafka for the local stack",
    )
    given = parser.parse_args()
    try:
        built = _without_registry(given.without_registry) if given.without_registry else _with_registry(given.base)
    except SetupError as error:
        program.tell(f"error: {error}")
        return 1
    print(json.dumps(built))
    return 0


def _with_registry(base: str) -> dict[str, str]:
    found = engine.find()
    return {"services": _timed(found, images.services_name(), lambda: images.build_services(found, base))}


def _without_registry(suite: str) -> dict[str, str]:
    found = engine.find()
    base = _timed(found, images.base_name(suite), lambda: images.build_base(found, suite))
    jars = asyncio.run(kafka_jars.jars(program.tell))
    return {
        "services": _timed(found, images.services_name(), lambda: images.build_services(found, base)),
        "postgres": _timed(found, images.postgres_name(), lambda: images.build_postgres(found, base)),
        "kafka": _timed(found, images.kafka_name(), lambda: images.build_kafka(found, base, jars)),
    }


def _timed(found: engine.Engine, name: str, build: Callable[[], str]) -> str:
    if not found.has(name):
        program.tell(f"building {name} …")
        began = time.monotonic()
        build()
        program.tell(f"built {name} in {time.monotonic() - began:.0f} s")
    return name


if __name__ == "__main__":
    sys.exit(main())
