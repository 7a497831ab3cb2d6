"""Limits: how many codes and tries, as in sec-A2, sec-A4 and sec-A7."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from services.auth.settings import AuthSettings, Network


@dataclass(frozen=True, slots=True)
class Limits:
    """How many codes and tries."""

    code_minutes: int = 10
    codes_per_quarter: int = 3
    tries_per_code: int = 5
    tries_per_quarter: int = 10
    failures_per_day: int = 20
    source_limit: int = 300
    tries_in_a_row: int = 5
    block_minutes: int = 15
    reset_lifts_block: bool = False
    known_networks: Mapping[Network, int] | None = None

    @classmethod
    def of(cls, settings: AuthSettings) -> "Limits":
        """Take the limits from the settings."""
        return cls(
            code_minutes=settings.code_minutes,
            codes_per_quarter=settings.codes_per_quarter,
            tries_per_code=settings.tries_per_code,
            tries_per_quarter=settings.tries_per_quarter,
            failures_per_day=settings.failures_per_day,
            source_limit=settings.source_limit,
            tries_in_a_row=settings.tries_in_a_row,
            block_minutes=settings.block_minutes,
            reset_lifts_block=settings.reset_lifts_block,
            known_networks=settings.known_networks,
        )

    def of_source(self, source: str) -> int:
        """Give how many codes may be asked for, or wrong passwords tried, from a network address in an hour."""
        networks = self.known_networks or {}
        try:
            found = ip_address(source)
        except ValueError:
            return self.source_limit
        return max((limit for network, limit in networks.items() if found in network), default=self.source_limit)


def network_of(source: str) -> str:
    """Name where an ask comes from: an IPv4 address, or the /64 that an IPv6 subscriber has to himself."""
    try:
        found = ip_address(source)
    except ValueError:
        return source
    return str(ip_network((found, 64), strict=False)) if found.version == 6 else str(found)  # noqa: PLR2004
