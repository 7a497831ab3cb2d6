"""Described: an answer is held against the service's own document, so that every test of a route proves it complete."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import httpx2
from jsonschema import Draft202012Validator, FormatChecker

from deploy.documents import openapi

JSON, PROBLEM = "application/json", "application/problem+json"
REFUSED = 400
TOLD = ("ETag", "Retry-After", "WWW-Authenticate")
"""Headers that a caller must know of, so that the document tells of each that an answer has."""
ASKED = ("Idempotency-Key", "If-Match")
"""Headers of requests that change what a route does."""
ANY_ROUTE = "urn:samband:problem:"


class Undescribed(AssertionError):
    """A service answers what its document does not say."""


class Described:
    """A service's document, as something to hold answers against."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        paths = sorted(document["paths"], key=lambda path: path.count("{"))
        self._paths = [(re.compile(re.sub(r"\{\w+\}", "[^/]*", path)), document["paths"][path]) for path in paths]

    def check(self, answer: httpx2.Response) -> None:
        """Raise `Undescribed`, naming route and refusal, where status, type, body or headers are not in the document."""
        method, path = answer.request.method.lower(), answer.request.url.path
        item: Mapping[str, Any] = next((item for pattern, item in self._paths if pattern.fullmatch(path)), {})
        if method not in item:
            if answer.status_code < REFUSED or not answer.json()["type"].startswith(ANY_ROUTE):
                raise Undescribed(f"{method} {path} is in no document")
            return
        operation = item[method]
        for fault in self._faults(operation, answer):
            raise Undescribed(f"{method} {path} ({operation['operationId']}), {answer.status_code}: {fault}")

    def _faults(self, operation: Mapping[str, Any], answer: httpx2.Response) -> Iterator[str]:
        responses, status = operation["responses"], str(answer.status_code)
        if answer.status_code < REFUSED and status not in responses:
            yield "the document does not have this status"
            return
        response = self.resolved(responses.get(status, responses["default"]))
        yield from (
            f"the document does not tell of the header {name}"
            for name in TOLD
            if name in answer.headers and name not in response.get("headers", {})
        )
        yield from self._undocumented(operation, answer)
        yield from self._faults_of_content(response, answer)

    def _undocumented(self, operation: Mapping[str, Any], answer: httpx2.Response) -> Iterator[str]:
        known = {(each["in"], each["name"]) for each in operation.get("parameters", [])}
        sent = {("header", name) for name in ASKED if name in answer.request.headers}
        if answer.status_code < REFUSED:
            sent |= {("query", name) for name in answer.request.url.params}
        if any(part == "header" and name == "If-Match" for part, name in sent) and not sent <= known:
            sent -= {("header", "If-Match")}  # Tests of many routes send it to all; who ignores it says nothing of it.
        yield from (f"the document does not have the {part} parameter {name}" for part, name in sorted(sent - known))

    def _faults_of_content(self, response: Mapping[str, Any], answer: httpx2.Response) -> Iterator[str]:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        content = response.get("content", {})
        if not content and not answer.content:
            return
        if kind not in content:
            yield f"the document does not have {kind or 'an empty body'} here"
            return
        if kind not in {JSON, PROBLEM}:
            return
        shown = answer.json()
        for error in self.validator(content[kind]["schema"]).iter_errors(shown):
            yield f"{error.json_path} {error.message}"
        if answer.status_code >= REFUSED:
            name = "type" if kind == PROBLEM else "error"
            told = {self.resolved(each)["value"][name] for each in content[kind]["examples"].values()}
            if shown[name] not in told:
                yield f"the document does not tell of {shown[name]}"

    def resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow a reference into the components."""
        if "$ref" not in part:
            return part
        _, _, kind, name = part["$ref"].split("/")
        return self.resolved(self.document["components"][kind][name])

    def validator(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        """Give what judges by a schema of this document."""
        whole = {**schema, "components": self.document["components"]}
        return Draft202012Validator(whole, format_checker=FormatChecker())


@cache
def of(service: str) -> Described:
    """Give a service's document; made once a process, for what it says depends on no setting and no row."""
    return Described(openapi.document(service))
