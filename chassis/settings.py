"""Settings: what a service reads from its environment, checked once, frozen; every default is safe."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, HttpUrl, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from chassis.errors import Misconfigured

PREFIX = "SAMBAND_"
LAST_PORT = 65_535
LARGEST_CLOCK_SKEW = 600
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(:[0-9]{1,5})?")
_SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}


class ServiceSettings(BaseSettings):
    """What every service needs; a service adds its own. Environment variables begin with `SAMBAND_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: Annotated[
        str, Field(description="postgresql://<login role>:<password>@<host>/<database>, past any pooler")
    ]
    owner_database_url: Annotated[
        str | None, Field(description="the same with the owner role; only `migrate` needs it")
    ] = None
    kafka: Annotated[
        str | None, Field(description="bootstrap servers, host:port[,host:port]; the api role needs none")
    ] = None
    public_keys: Annotated[Path, Field(description="folder with <reader>.json of every reader of sealed fields")]
    private_keys: Annotated[Path, Field(description="file with this service's own private JWK Set")]
    systems: Annotated[
        Path | None,
        Field(description="folder with <system>.json of every system that may send requests; none by default"),
    ] = None
    clock_skew_seconds: Annotated[
        float, Field(ge=0, le=LARGEST_CLOCK_SKEW, description="how far ahead the clock of a system may be")
    ] = 60
    token_keys: Annotated[
        Path | None,
        Field(description="file with the public JWK Set of auth's access tokens; needed where routes need a caller"),
    ] = None
    token_issuer: Annotated[
        str | None, Field(min_length=1, max_length=255, description="who issues access tokens, as their `iss` says")
    ] = None
    topic_prefix: Annotated[str, Field(pattern="^[a-z0-9.-]*$", description="before every topic and group name")] = ""
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    pool_size: Annotated[int, Field(ge=2, le=200)] = 10
    session_seconds: Annotated[
        float, Field(ge=0.5, le=60, description="silence after which Kafka gives a consumer's partitions away")
    ] = 10
    stuck_seconds: Annotated[
        float, Field(ge=1, le=3600, description="a lane that could read and does not for so long ends its process")
    ] = 60
    drain_seconds: Annotated[
        float,
        Field(ge=0, le=5, description="how long the api goes on after SIGTERM, while requests still come its way"),
    ] = 3
    archive_days: Annotated[
        int, Field(ge=0, le=7, description="days that published messages can be replayed; 0 = off")
    ] = 7
    largest_message: Annotated[int, Field(ge=1_000, le=10_000_000, description="bytes of one message's value")] = (
        900_000
    )
    metrics_port: Annotated[
        int | None, Field(ge=0, le=65535, description="a port of its own for /metrics; without it, beside the routes")
    ] = None
    trust_traceparent: Annotated[
        bool, Field(description="go on in the trace that a caller names; only where callers are our own")
    ] = False
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    origins: Annotated[tuple[str, ...], NoDecode, Field(description="origins of the pages, comma-separated")] = ()

    @field_validator("origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _is_postgres(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        if value is not None and not _can_be_dialled(value):
            raise ValueError("must be postgresql://user:password@host:port/database, its port a number")
        return value

    @field_validator("kafka")
    @classmethod
    def _is_servers(cls, value: str | None) -> str | None:
        for server in value.split(",") if value else ():
            found = _HOST.fullmatch(server.strip())
            if found is None or not found[1] or not _is_host(server.strip()):
                raise ValueError("must be host:port[,host:port], each port a number up to 65535")
        return value

    @classmethod
    def read(cls, service: str) -> Self:
        """Read the environment; raises `Misconfigured` with a line for each variable that is missing or wrong."""
        return read(cls, service)


class TracingSettings(BaseSettings):
    """Which spans go where, in OpenTelemetry's own variables, which begin with `OTEL_`; its SDK reads the others itself."""

    model_config = SettingsConfigDict(
        env_prefix="OTEL_", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    sdk_disabled: bool = False
    traces_exporter: Annotated[Literal["otlp", "none"], Field(description="otlp or none")] = "otlp"
    exporter_otlp_endpoint: HttpUrl | None = None
    exporter_otlp_traces_endpoint: HttpUrl | None = None
    exporter_otlp_protocol: Annotated[Literal["http/protobuf"], Field(description="http/protobuf alone")] = (
        "http/protobuf"
    )
    exporter_otlp_traces_protocol: Annotated[
        Literal["http/protobuf"] | None, Field(description="http/protobuf alone")
    ] = None
    traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = "parentbased_traceidratio"
    traces_sampler_arg: Annotated[float, Field(ge=0, le=1, description="the share of traces that are recorded")] = 0.1

    @property
    def wanted(self) -> bool:
        """Tell whether spans go anywhere."""
        endpoint = self.exporter_otlp_traces_endpoint or self.exporter_otlp_endpoint
        return endpoint is not None and not self.sdk_disabled and self.traces_exporter == "otlp"


def _can_be_dialled(address: str) -> bool:
    """Tell whether the client can take an address apart: it would raise anything, much later, and say it in a log."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    modes = parse_qs(parts.query).get("sslmode", ["prefer"])
    return all(map(_is_host, place(address).split(","))) and set(modes) <= _SSL_MODES


def place(address: str) -> str:
    """Give the hosts and ports of a Postgres address, without who goes there."""
    return urlsplit(address).netloc.rpartition("@")[2]


def _is_host(host: str) -> bool:
    found = _HOST.fullmatch(host)
    return found is not None and int((found[2] or ":0")[1:]) <= LAST_PORT


S = TypeVar("S", bound=BaseSettings)


def read(settings: type[S], service: str) -> S:
    """Read settings from the environment; raises `Misconfigured` naming each variable, never its value."""
    try:
        return settings()
    except SettingsError as error:  # It gives up at the first, and names the field in its text alone.
        named = [name for name in settings.model_fields if f'"{name}"' in str(error)]
        lines = [_line(settings, name, "is not JSON") for name in named]
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        lines = [
            _line(settings, str(fault["loc"][0]), "is missing" if fault["type"] == "missing" else fault["msg"])
            for fault in faults
        ]
    raise Misconfigured(f"{service} cannot start, its environment is not right:\n" + "\n".join(lines)) from None


def _line(settings: type[BaseSettings], name: str, what: str) -> str:
    about = settings.model_fields[name].description
    return f"  {settings.model_config['env_prefix']}{name.upper()}: {what}" + (f" ({about})" if about else "")
