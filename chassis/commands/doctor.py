"""Doctor: one line for each thing a service stands on."""

import argparse
from collections import Counter
from dataclasses import asdict
from typing import Any

from chassis import doctor
from chassis.commands.command import Bare, no_arguments, output
from chassis.service import Service
from chassis.upkeep import Verdict


async def run(of: Service[Any], given: argparse.Namespace) -> int:  # noqa: ARG001 -- a command's signature.
    """Look at everything; gives 0 when all is well."""
    counts: Counter[Verdict] = Counter()
    async for finding in doctor.examine(of):
        counts[finding.verdict] += 1
        output({name: value for name, value in asdict(finding).items() if value})
    output({str(verdict): counts[verdict] for verdict in Verdict})
    return 0 if counts.total() == counts[Verdict.OK] + counts[Verdict.NOT_LOOKED_AT] else 1


COMMANDS = (
    Bare(
        "doctor",
        "look at settings, keys, Postgres, Kafka, topics and more, and say what is wrong",
        no_arguments,
        run,
        "One line a check: its verdict (ok, wrong, could_not_look, not_looked_at), what was found, and what to do. It changes "
        "nothing, goes on where something is missing, and ends with 0 only when all is well but for what the settings leave "
        "out. It looks as the login role does.",
    ),
)
