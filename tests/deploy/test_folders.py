"""A folder for every run: alone in it, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from deploy.local.folders import own_folder, passable

_CRASHES = """
import os, signal, sys
from pathlib import Path
from deploy.local.folders import own_folder

with own_folder("demo", base=Path(sys.argv[1])) as folder:
    (folder / "data").mkdir()
    (folder / "data" / "file").write_text("left")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def crash(base: Path) -> None:
    subprocess.run([sys.executable, "-c", _CRASHES, base], check=False)


def test_two_runs_of_one_kind_have_two_folders(tmp_path: Path) -> None:
    with own_folder("demo", base=tmp_path) as first, own_folder("demo", base=tmp_path) as second:
        assert first != second
        assert first.is_dir()
        assert second.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_the_name_says_kind_and_checkout(tmp_path: Path) -> None:
    with (
        own_folder("demo", base=tmp_path) as ours,
        own_folder("demo", base=tmp_path, checkout=Path("/elsewhere")) as theirs,
    ):
        assert ours.name.startswith("samband-demo-")
        assert ours.name.rsplit("-", 1)[0] != theirs.name.rsplit("-", 1)[0]


def test_what_a_crashed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    crash(tmp_path)
    (left,) = tmp_path.iterdir()

    with own_folder("test", base=tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert not left.exists()


def test_a_folder_that_is_only_named_like_ours_is_left_alone(tmp_path: Path) -> None:
    stranger = tmp_path / "samband-demo-00000000-notours"
    stranger.mkdir()
    (stranger / "file").write_text("precious")
    (tmp_path / "samband-link").symlink_to(stranger)

    with own_folder("demo", base=tmp_path):
        pass

    assert (stranger / "file").read_text() == "precious"


def test_passable_means_every_folder_above(tmp_path: Path) -> None:
    inner = tmp_path / "private" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)

    assert not passable(inner)
    assert passable(Path(os.devnull).parent)
