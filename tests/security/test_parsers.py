"""Nothing from outside makes a parser raise anything but what its docstring allows.

A function is taken for a parser by its name and by what it is given; one that is new has to be put into the table, or
into the list of those that read nothing from outside, with the reason. A parser that is called otherwise is not seen.
"""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.local.folders import CHECKOUT
from tests.security.parsers import NOT_FROM_OUTSIDE, PARSERS

EXAMPLES = int(os.environ.get("SAMBAND_TEST_EXAMPLES", "60"))
FOLDERS = ("chassis", "contracts", "services")
CALLED = re.compile(
    r"(admit|check|choose|decode|load|open|parse|prove|read|unpack|verify|normalise)(ed)?(_\w+)?"
    r"|count|fits|from_\w+|key_of|language_of|moment|of|of_source|past|reader_of|client_address|breaks"
)
GIVEN = re.compile(r"\b(str|bytes|object|Any|Record|Headers|Arrival|Path|Schema|HTTPConnection|Request)\b")


def found() -> Iterator[str]:
    """Name every public function and class method that is called as parsers are, and is given text, bytes or a request."""
    for folder in FOLDERS:
        for file in sorted((CHECKOUT / folder).rglob("*.py")):
            module = ".".join(file.relative_to(CHECKOUT).with_suffix("").parts)
            yield from (f"{module}.{name}" for name in _functions(ast.parse(file.read_text()).body))


def _functions(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    for node in body:
        match node:
            case ast.ClassDef(name=name) if not name.startswith("_"):
                yield from _functions(node.body, f"{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                given = " ".join(ast.unparse(each.annotation) for each in every if each.annotation)
                if CALLED.fullmatch(name) and GIVEN.search(given) and not re.search(r"\bConnection\b", given):
                    yield within + name
            case _:
                pass


@pytest.mark.goal("ops-O8")
def test_every_parser_is_in_the_table() -> None:
    unknown = set(found()) - set(PARSERS) - set(NOT_FROM_OUTSIDE)
    assert not unknown, "put each into tests/security/parsers.py: PARSERS, or NOT_FROM_OUTSIDE with the reason"


def test_the_table_holds_nothing_that_is_gone() -> None:
    called = {name for name in (*PARSERS, *NOT_FROM_OUTSIDE) if CALLED.fullmatch(name.rpartition(".")[2])}
    assert called - set(found()) == set()


def test_a_new_parser_would_be_seen(tmp_path: Path) -> None:
    source = "def parse_letter(text: str) -> int: ...\nclass Letter:\n    @classmethod\n    def of(cls, raw: bytes) -> int: ..."
    assert list(_functions(ast.parse(source).body)) == ["parse_letter", "Letter.of"]


@pytest.mark.goal("ops-O8")
@pytest.mark.parametrize("name", list(PARSERS))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_comes_is_read_or_refused_as_the_parser_says(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]
    given = data.draw(parser.given)
    try:
        got = parser.call(given)
    except parser.raises:
        return
    parser.holds(given, got)
