"""Every mutant still applies to the code as it is, and what is to catch it is there."""

import ast
from pathlib import Path

import pytest

from deploy.local.folders import CHECKOUT
from tests.faults.injuries import INJURIES
from tests.faults.report import Sum
from tests.mutants.catalogue.every import EVERY
from tests.mutants.mutant import Assertions, Edit, Mutant, Rounds, Stale, applied, mutate
from tests.mutants.verdict import damages_in

DAMAGES = (damages_in("\n".join(Sum().lines())) or {}).keys()


def source_of(path: str) -> str:
    return (CHECKOUT / path).read_text(encoding="utf-8")


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in EVERY}) == len(EVERY) >= 20


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_to_the_code_as_it_is_and_gives_a_program(mutant: Mutant) -> None:
    mutated = mutate(mutant, CHECKOUT)
    assert mutated != source_of(mutant.file)
    compile(mutated, mutant.file, "exec")


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)
def test_what_is_to_catch_a_mutant_is_there(mutant: Mutant) -> None:
    match mutant.catcher:
        case Assertions(ids):
            assert not mutant.damages
            for test in ids:
                path, _, name = test.partition("::")
                assert name.partition("[")[0] in {"", *_functions(path)}
        case Rounds(injuries):
            assert mutant.damages
            assert mutant.damages <= DAMAGES - {"fallen"}
            assert set(injuries) <= INJURIES.keys()


def _functions(path: str) -> set[str]:
    tree = ast.parse(source_of(path))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("source", ["", "piece piece"])
def test_a_mutant_whose_text_is_not_there_once_is_stale(source: str, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(source, encoding="utf-8")
    mutant = Mutant("m", "nothing", "file.py", (Edit("piece", ""),), Assertions(()))
    with pytest.raises(Stale, match=r"file\.py holds 'piece' \d times"):
        mutate(mutant, tmp_path)


def test_a_tree_is_mutated_for_the_block_and_mended_behind_it(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text("a b", encoding="utf-8")
    with applied(Mutant("m", "nothing", "file.py", (Edit("a", "x"), Edit("b", "y")), Assertions(())), tmp_path):
        assert file.read_text(encoding="utf-8") == "x y"
    assert file.read_text(encoding="utf-8") == "a b"
