"""Key sets: the JWK Sets that seal messages to a reader, told apart, checked, and rotated in the order that loses nothing.

A reader gets a new private key before writers get the public one, and keeps the old private ones for 30 days: longer than
any message or dead letter sealed to them. Beside what RFC 7517 knows, a key carries `iat`, when it was made, and a
public one `nbf`, from when writers use it; both are for operators, nothing opens or closes by them.
"""

import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chassis import sealing
from chassis.errors import Misconfigured
from chassis.sealing import Keyring

KEEP = timedelta(days=30)
Jwk = dict[str, Any]


class WrongStep(Exception):
    """The rotation is not where this step belongs; the text says where it is, and what comes next."""


@dataclass(frozen=True, slots=True)
class KeySets:
    """The files that a service reads: its own private set, and the public one of every reader."""

    service: str
    public: Path
    private: Path

    @property
    def own_public(self) -> Path:
        return self.public / f"{self.service}.json"

    def check(self) -> None:
        """Read all as the service does; raises `Misconfigured`, naming the file."""
        Keyring.load(self.service, self.public, self.private)


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as operators see it: nothing of it that is secret."""

    key: str
    reader: str
    opens: bool
    """This service has the private half mounted."""
    published: bool
    used_by_writers: bool
    """It is the first of the public set: what is sealed from now on is sealed to it."""
    made_at: datetime | None
    used_since: datetime | None


def list_keys(sets: KeySets) -> list[KeyInfo]:
    """Give the keys of this service, newest last, and the public ones of all other readers; raises `Misconfigured`."""
    sets.check()
    private, public = _keys(sets.private), _keys(sets.own_public) if sets.own_public.exists() else []
    own = {key["kid"]: key for key in (*public, *private)}
    published = {key["kid"]: key for key in public}
    found = [
        KeyInfo(
            kid,
            sets.service,
            opens=any(each["kid"] == kid for each in private),
            published=kid in published,
            used_by_writers=bool(public) and public[0]["kid"] == kid,
            made_at=_moment(key.get("iat")),
            used_since=_moment(published.get(kid, {}).get("nbf")),
        )
        for kid, key in own.items()
    ]
    for path in sorted(sets.public.glob("*.json")):
        if path != sets.own_public:
            found += [_of_another(path.stem, place, key) for place, key in enumerate(_keys(path))]
    return found


def _of_another(reader: str, place: int, key: Jwk) -> KeyInfo:
    made_at, used_since = _moment(key.get("iat")), _moment(key.get("nbf"))
    return KeyInfo(key["kid"], reader, False, True, place == 0, made_at, used_since)


def faults(sets: KeySets, readers: Iterable[str]) -> list[str]:
    """Say what is wrong with key sets that can be read; `readers` are those to whom this service must seal."""
    found = [
        f"{reader}.json is missing: nothing can be sealed to {reader}" for reader in readers if not _has(sets, reader)
    ]
    if not sets.own_public.exists():
        return [*found, f"{sets.own_public} is missing: dead letters are sealed to {sets.service} itself"]
    private, public = _keys(sets.private), _keys(sets.own_public)
    for path, keys in ((sets.private, private), (sets.own_public, public)):
        names = [key["kid"] for key in keys]
        found += [f"{path} holds the key {name} twice" for name in sorted(set(names)) if names.count(name) > 1]
    halves = {key["kid"]: (key["x"], key["y"]) for key in private}
    for key in public:
        if key["kid"] not in halves:
            found.append(
                f"{sets.own_public} offers {key['kid']}, whose private half is not mounted: what is sealed to it is lost"
            )
        elif halves[key["kid"]] != (key["x"], key["y"]):
            found.append(f"the two halves of {key['kid']} do not belong together")
    return found


def _has(sets: KeySets, reader: str) -> bool:
    return (sets.public / f"{reader}.json").exists()


def begin(sets: KeySets) -> str:
    """Add a new private key, which nobody seals to yet; gives its name. Raises `WrongStep`, `Misconfigured`."""
    sets.check()
    private = _keys(sets.private)
    if waiting := _unpublished(sets, private):
        raise WrongStep(
            f"{waiting[-1]['kid']} is made and not published yet; when every {sets.service} has it: --publish"
        )
    kid = f"{sets.service}-{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(3)}"
    write(sets.private, [*private, sealing.new_key(kid).as_dict(private=True)])
    return kid


def publish(sets: KeySets) -> str:
    """Put the newest private key's public half first, for writers to use; gives its name. Raises as `begin`."""
    sets.check()
    waiting = _unpublished(sets, _keys(sets.private))
    if not waiting:
        raise WrongStep("no private key waits to be published; a rotation begins without --publish")
    new = sealing.public_half(waiting[-1]) | {"nbf": int(datetime.now(UTC).timestamp())}
    write(sets.own_public, [new, *(_keys(sets.own_public) if sets.own_public.exists() else [])])
    return str(new["kid"])


def retire(sets: KeySets) -> list[str]:
    """Take away keys that no writer has used for 30 days; gives their names. Raises as `begin`."""
    sets.check()
    public = _keys(sets.own_public) if sets.own_public.exists() else []
    since = _moment(public[0].get("nbf")) if public else None
    if len(public) < 2 or since is None:  # noqa: PLR2004 -- the one in use, and one before it.
        raise WrongStep("no key was followed by another that says since when it is used; there is nothing to retire")
    if (until := since + KEEP) > datetime.now(UTC):
        raise WrongStep(
            f"{public[1]['kid']} may be needed until {until:%Y-%m-%d}: messages sealed to it may still come"
        )
    old = [key["kid"] for key in public[1:]]
    write(sets.own_public, public[:1])
    write(sets.private, [key for key in _keys(sets.private) if key["kid"] not in old])
    return old


def _unpublished(sets: KeySets, private: list[Jwk]) -> list[Jwk]:
    published = {key["kid"] for key in _keys(sets.own_public)} if sets.own_public.exists() else set()
    return [key for key in private if key["kid"] not in published]


def _keys(path: Path) -> list[Jwk]:
    """Read a set that `check` has read."""
    keys: list[Jwk] = json.loads(path.read_text(encoding="utf-8"))["keys"]
    return keys


def _moment(seconds: object) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) else None


def write(path: Path, keys: list[Jwk]) -> None:
    """Replace a set in one step, of whom and readable to whom it was before; raises `Misconfigured`.

    A link goes on leading to it.
    """
    old = path.resolve()
    new = old.with_name(f".{old.name}.{secrets.token_hex(4)}")
    try:
        before = old.stat() if old.exists() else None
        new.touch(mode=0o600, exist_ok=False)
        new.write_text(json.dumps({"keys": keys}, indent=1), encoding="utf-8")
        if before is not None:
            os.chown(new, before.st_uid, before.st_gid)
            new.chmod(before.st_mode & 0o777)
        new.replace(old)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise Misconfigured(
            f"{path} cannot be written ({error.strerror}): where key sets are mounted read-only, rotate copies of them "
            "with --public and --private, and mount these"
        ) from None
