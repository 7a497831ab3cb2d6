"""Packages: what the locks pin, with hashes, and the licence that each one's own metadata names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from license_expression import ExpressionError, ExpressionParseError, get_spdx_licensing

from deploy.local.folders import CHECKOUT

ALL, IMAGE = "requirements.lock", "deploy/requirements.lock"
LICENCES = Path(__file__).with_name("licences.toml")

_SPDX = get_spdx_licensing()
_HASH = "--hash=sha256:"


class Unfit(Exception):
    """The dependencies are not as they must be; the text has a line for each fault."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A package as a lock pins it: `hashes` are SHA-256, one for each file that may be installed."""

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned package with its licence, an SPDX expression; `shipped` is what the image holds."""

    pinned: Pinned
    licence: str
    shipped: bool


@dataclass(frozen=True, slots=True)
class Licences:
    """Which licences are allowed, and how to read what packages say."""

    allowed: frozenset[str]
    words: dict[str, str]
    packages: dict[str, str]

    @classmethod
    def read(cls, path: Path = LICENCES) -> Licences:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(frozenset(written["allowed"]), written["words"], written["packages"])

    def of(self, pinned: Pinned) -> str:
        """Give a package's licence as an SPDX expression; raises `Unfit` naming the package."""
        if pinned.name in self.packages:
            return self.packages[pinned.name]
        try:
            found = metadata.metadata(pinned.name)
        except metadata.PackageNotFoundError:
            raise Unfit(f"{pinned.name} is not installed: say its licence in {LICENCES.name}") from None
        if found["Version"] != pinned.version:
            raise Unfit(f"{pinned.name} {found['Version']} is installed, {pinned.version} is pinned: run `make setup`")
        classifiers = (name.rpartition(" :: ")[2] for name in found.get_all("Classifier", ()) if "License" in name)
        for said in (*found.get_all("License-Expression", ()), *found.get_all("License", ()), *classifiers):
            expression: str = self.words.get(said, said)
            if _is_spdx(expression):
                return expression
        raise Unfit(f"{pinned.name} does not say its licence in words known here: add it to {LICENCES.name}")

    def allows(self, expression: str) -> bool:
        """Whether one may choose so that all licences are allowed: `A OR B` needs one of both, `A AND B` both."""
        allowed = {_SPDX.parse(key): _SPDX.TRUE for key in self.allowed}
        parsed = _SPDX.parse(expression, validate=True)
        others = {symbol: _SPDX.FALSE for symbol in parsed.symbols if symbol not in allowed}
        return bool(parsed.subs({**allowed, **others}, simplify=True) == _SPDX.TRUE)


def read(checkout: Path = CHECKOUT, licences: Licences | None = None) -> list[Package]:
    """Read both locks and give every package by name; raises `Unfit` naming each without an allowed licence or a hash."""
    licences = licences or Licences.read()
    shipped = {pinned.name for pinned in pins((checkout / IMAGE).read_text(encoding="utf-8").splitlines())}
    packages, faults = [], []
    for pinned in pins((checkout / ALL).read_text(encoding="utf-8").splitlines()):
        try:
            licence = licences.of(pinned)
        except Unfit as unfit:
            faults.append(str(unfit))
            continue
        if not licences.allows(licence):
            faults.append(f"{pinned.name} is under {licence}, which {LICENCES.name} does not allow")
        if not pinned.hashes:
            faults.append(f"{pinned.name} is pinned without a hash: run `make lock`")
        packages.append(Package(pinned, licence, pinned.name in shipped))
    if faults:
        raise Unfit("\n".join(faults))
    return packages


def pins(lines: Iterable[str]) -> list[Pinned]:
    """Read the lines of a lock: `name==version ; marker` with a `--hash=sha256:…` on each of the lines that follow."""
    found: list[Pinned] = []
    for line in (line.strip().rstrip("\\").strip() for line in lines):
        if line.startswith(_HASH):
            last = found.pop()
            found.append(Pinned(last.name, last.version, (*last.hashes, line.removeprefix(_HASH))))
        elif line:
            name, _, rest = line.partition("==")
            found.append(Pinned(name, rest.partition(";")[0].strip(), ()))
    return found


def _is_spdx(expression: str) -> bool:
    try:
        return _SPDX.parse(expression, validate=True) is not None
    except (ExpressionError, ExpressionParseError):
        return False
