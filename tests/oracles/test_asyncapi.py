"""AsyncAPI: the project's own parser takes our documents, and finds in them what we meant."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from deploy.documents import asyncapi, system
from deploy.documents.system import Service
from tests.oracles import tools

FOUND = system.found()
NEWER_VERSION_EXISTS = "asyncapi-latest-version"
"""3.0.0 is meant; the parser would like 3.1.0."""

pytestmark = pytest.mark.timeout(300)  # The first run on a machine installs the parser.


@pytest.fixture(scope="module")
def parsed() -> dict[str, dict[str, Any]]:
    """What the parser says of each service's document, and of each way to break one: it takes long to start."""
    documents = {service.name: asyncapi.document(FOUND, service) for service in FOUND.services}
    documents |= {how: broken(asyncapi.document(FOUND, FOUND.services[0]), how) for how in FAULTS}
    return dict(zip(documents, tools.parse_asyncapi(list(documents.values())), strict=True))


@pytest.mark.parametrize("service", FOUND.services, ids=lambda service: service.name)
def test_the_parser_of_asyncapi_takes_a_services_document_without_a_remark(
    service: Service, parsed: Mapping[str, dict[str, Any]]
) -> None:
    document, said = asyncapi.document(FOUND, service), parsed[service.name]
    assert [remark for remark in said["diagnostics"] if remark["code"] != NEWER_VERSION_EXISTS] == []
    assert sorted(said["channels"]) == sorted(document["channels"])
    assert sorted(said["operations"]) == sorted(
        f"{operation['action']} {name}" for name, operation in document["operations"].items()
    )


def broken(document: dict[str, Any], how: str) -> dict[str, Any]:
    """Break a document in one place."""
    document = copy.deepcopy(document)
    operation, message = (
        next(iter(document["operations"].values())),
        next(iter(document["components"]["messages"].values())),
    )
    match how:
        case "a channel that is not there":
            operation["channel"]["$ref"] = "#/channels/nowhere"
        case "a payload that is no schema":
            message["payload"]["type"] = "nothing"
        case "a channel without its message":
            next(iter(document["channels"].values()))["messages"].clear()
        case "a binding of another kind":
            message["bindings"]["kafka"]["key"] = "account_id"
        case _:
            operation["action"] = "shout"
    return document


FAULTS = (
    "a channel that is not there",
    "a payload that is no schema",
    "a channel without its message",
    "a binding of another kind",
    "no such action",
)


@pytest.mark.parametrize("how", FAULTS)
def test_the_parser_would_find_a_fault(how: str, parsed: Mapping[str, dict[str, Any]]) -> None:
    assert [remark for remark in parsed[how]["diagnostics"] if remark["code"] != NEWER_VERSION_EXISTS]
