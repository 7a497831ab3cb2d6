"""Sbom: the dependencies for a program, as CycloneDX 1.6 JSON; the same locks give the same bytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from deploy.dependencies.packages import Package, Unfit


def write(packages: Sequence[Package], project: Mapping[str, Any]) -> str:
    """Give the document's text, for the project as `pyproject.toml` has it; raises `Unfit` when it breaks the schema.

    Which package asks for which is left out but for the product's own wishes: markers make it another for each system.
    """
    components = {package.pinned.name: _component(package) for package in packages}
    bom = Bom(components=components.values(), version=1)
    product = Component(
        name=project["name"], version=project["version"], type=ComponentType.APPLICATION, bom_ref="product"
    )
    bom.metadata.component = product
    bom.register_dependency(product, [components[_name(wish)] for wish in project["dependencies"]])
    pinned = "\n".join(f"{each.pinned} {each.licence} {each.shipped}" for each in packages)
    digest = hashlib.sha256(f"{project['version']}\n{pinned}".encode()).digest()
    bom.serial_number = UUID(bytes=digest[:16], version=4)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]  # The schema lets it be left out, and the same is to be the same.
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise Unfit(f"the SBOM breaks the schema of CycloneDX 1.6: {wrong}")
    return text


def _name(wish: str) -> str:
    """Give the package of a requirement such as `aiokafka[lz4]>=0.14`, as a lock writes it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", wish, maxsplit=1)[0]).lower()


def _component(package: Package) -> Component:
    pinned = package.pinned
    purl = PackageURL("pypi", name=pinned.name, version=pinned.version)
    return Component(
        name=pinned.name,
        version=pinned.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        scope=ComponentScope.REQUIRED if package.shipped else ComponentScope.EXCLUDED,
        licenses=[LicenseFactory().make_from_string(package.licence)],
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(str(purl)),
                comment="a hash for each file that may be installed: a wheel for a platform, or the source",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in pinned.hashes],
            )
        ],
    )
