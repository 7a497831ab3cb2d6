"""The rules of the house: for each what fires and what does not, and that the product breaks none."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.lint.__main__ import FOLDERS, RULES, main
from deploy.lint.findings import Rule, look
from deploy.local.folders import CHECKOUT

BY_NAME = {rule.name: rule for rule in RULES}

FIRES = {
    "sql": [
        'await conn.execute(f"delete from {table}")',
        'await conn.fetch("select * from codes where id = " + given)',
        'await conn.fetchrow("select * from %s" % table)',
        "await conn.fetchval(QUERY.format(schema=name))",
        'await conn.prepare(", ".join(columns))',
        'await conn.execute(query=f"{verb} codes")',
        'QUERY = f"select {column} from codes"',
        'QUERY = "insert into codes " + values',
        'query = f"{verb} codes"\nawait conn.execute(query)',
        'return "update codes set code = \'{}\'".format(code)',
    ],
    "naive-time": [
        "from datetime import datetime\nat = datetime.now()",
        "from datetime import datetime\nat = datetime.now(None)",
        "import datetime\nat = datetime.datetime.utcnow()",
        "import datetime as dt\nat = dt.datetime.fromtimestamp(seconds)",
        "from datetime import datetime as clock\nat = clock.utcfromtimestamp(seconds)",
        "from datetime import datetime\nat = datetime(2026, 11, 24, 12)",
        "from datetime import date\nday = date.today()",
    ],
    "swallowed": [
        "try:\n    work()\nexcept Exception:\n    pass",
        "try:\n    work()\nexcept:\n    count += 1",
        "try:\n    work()\nexcept (ValueError, BaseException):\n    return None",
        "try:\n    work()\nexcept ValueError:\n    pass",
        "for each in all:\n    try:\n        work()\n    except OSError:\n        continue",
        "def f():\n    try:\n        work()\n    except KeyError:\n        return",
        "try:\n    work()\nexcept TimeoutError:\n    pass",
        "from contextlib import suppress\nwith suppress(Exception):\n    work()",
    ],
    "ack-policy": [
        "broker.subscriber(*topics, auto_offset_reset='earliest')",
        "broker.subscriber(*topics, ack_policy=AckPolicy.ACK_FIRST, auto_offset_reset='earliest')",
        "broker.subscriber(*topics, ack_policy=AckPolicy.NACK_ON_ERROR)",
        "broker.subscriber(*topics, ack_policy=AckPolicy.NACK_ON_ERROR, auto_offset_reset='latest')",
        "policy = faststream.AckPolicy.MANUAL",
        "AIOKafkaConsumer('letters', enable_auto_commit=True)",
    ],
    "secret-in-log": [
        'log.info("login_code_issued", code=code)',
        'log.info("login_code_issued", reference=challenge.code)',
        'log.warning("login_refused", who=str(account.address))',
        'log.info("key_made", made=new_token)',
        'log.error("refused", why=f"{account.email} is unknown")',
        'log.info(f"issued for {account}")',
        'log.info("issued for %s", account)',
        "structlog.contextvars.bind_contextvars(password=given)",
    ],
}  # fmt: skip

DOES_NOT = {
    "sql": [
        'QUERY = "select id from codes where id = $1"\nawait conn.fetchrow(QUERY, given)',
        'QUERY = """\nselect id from codes\nwhere id = $1"""',
        'await conn.execute("lock table codes " "in share mode")',
        'raise ValueError(f"selected: {names}")',
        'log.info(f"update of {name}")',
        'path = "with " + name',
        "page = template.format(title=title)",
    ],
    "naive-time": [
        "from datetime import UTC, datetime\nat = datetime.now(UTC)",
        "from datetime import UTC, datetime\nat = datetime.now(tz=UTC)",
        "from datetime import UTC, datetime\nat = datetime.fromtimestamp(seconds, UTC)",
        "from datetime import UTC, datetime\nat = datetime(2026, 11, 24, tzinfo=UTC)",
        "from datetime import datetime\nat = datetime(*parts)",
        "at = clock.now()",
    ],
    "swallowed": [
        "try:\n    work()\nexcept Exception:\n    log.exception('work_failed')",
        "try:\n    work()\nexcept Exception as error:\n    failures.append(error)",
        "try:\n    work()\nexcept Exception:\n    raise Refused from None",
        "try:\n    return int(text)\nexcept ValueError:\n    return None",
        "try:\n    async with asyncio.timeout(1):\n        await woken.wait()\nexcept TimeoutError:\n    pass",
        "from contextlib import suppress\nwith suppress(ProcessLookupError):\n    os.kill(pid, 9)",
    ],
    "ack-policy": [
        "broker.subscriber(*topics, ack_policy=AckPolicy.NACK_ON_ERROR, auto_offset_reset='earliest')",
        "AIOKafkaConsumer('letters', enable_auto_commit=False)",
    ],
    "secret-in-log": [
        'log.info("login_code_issued", account_id=str(account.id))',
        'log.info("loop_ended", loop=loop.name)',
        'log.info("older_passed_over" if old else "kept", count=count)',
        'log.error("refused", error=type(error).__name__, **where)',
        'parser.error(f"no such {code}")',
    ],
}  # fmt: skip


def pairs(examples: dict[str, list[str]]) -> list[tuple[Rule, str]]:
    return [(BY_NAME[name], source) for name, sources in examples.items() for source in sources]


def test_every_rule_has_examples() -> None:
    assert set(FIRES) == set(DOES_NOT) == set(BY_NAME)


@pytest.mark.goal("ops-O7")
@pytest.mark.parametrize(("rule", "source"), pairs(FIRES))
def test_a_rule_fires(rule: Rule, source: str) -> None:
    found = look(source, RULES)
    assert [finding.rule for finding in found] == [rule.name] * len(found)
    assert found


@pytest.mark.goal("ops-O7")
@pytest.mark.parametrize(("rule", "source"), pairs(DOES_NOT))
def test_a_rule_does_not_fire(rule: Rule, source: str) -> None:
    assert look(source, (rule,)) == []


BROKEN = 'await conn.execute(f"drop database {name}")'


@pytest.mark.parametrize(
    "source",
    [
        f"{BROKEN}  # lint: allow sql -- the name was drawn above",
        f"# lint: allow sql -- the name was drawn above\n{BROKEN}",
    ],
)
def test_an_excuse_with_a_reason_is_taken(source: str) -> None:
    assert look(source, RULES) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (f"{BROKEN}  # lint: allow sql", "excused without a reason"),
        ("x = 1  # lint: allow sql -- it was one once", "excused here and not found"),
        (f"{BROKEN}  # lint: allow swallowed -- another rule", "put together"),
        (f"# lint: allow sql -- too far away\n\n{BROKEN}", "put together"),
    ],
)
def test_a_poor_excuse_is_a_finding(source: str, said: str) -> None:
    assert any(said in finding.text for finding in look(source, RULES))


def test_an_excuse_within_a_text_is_none() -> None:
    assert look('said = "# lint: allow sql"', RULES) == []


def test_a_finding_is_printed_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store.py").write_text(f"# A store.\n{BROKEN}\n")
    (tmp_path / "clean.py").write_text("x = 1\n")
    assert main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{tmp_path / 'store.py'}:2:20 sql: SQL put together at run time")


@pytest.mark.parametrize(("content", "said"), [(b"x = (", "never closed"), (b"x = '\xff'", "utf-8")])
def test_a_file_that_is_no_python_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (tmp_path / "broken.py").write_bytes(content)
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'broken.py'} cannot be read")
    assert said in error


@pytest.mark.goal("ops-O7")
def test_the_product_breaks_no_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, capsys.readouterr().out


@pytest.mark.goal("ops-O7")
def test_bandit_finds_nothing_in_the_product() -> None:
    command = [sys.executable, "-m", "bandit", "--quiet", "--recursive", "--configfile", "pyproject.toml", *FOLDERS]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.goal("ops-O7")
def test_bandit_would_find_what_is_dangerous(tmp_path: Path) -> None:
    (tmp_path / "shell.py").write_text("import os\nos.system('echo ' + name)\n")
    command = [sys.executable, "-m", "bandit", "--quiet", "-c", str(CHECKOUT / "pyproject.toml"), "-r", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "B605" in done.stdout


# The reason comes first: what follows `nosec`, bandit reads.
REASONED = re.compile(r"# noqa: [A-Z0-9, ]+ --? \S.*# nosec B\d{3}$|# nosec B\d{3} -- \S")


@pytest.mark.goal("ops-O7")
def test_every_place_that_bandit_is_to_pass_over_names_its_test_and_gives_a_reason() -> None:
    lines = [
        line
        for folder in FOLDERS
        for file in (CHECKOUT / folder).rglob("*.py")
        for line in file.read_text().splitlines()
        if "# nosec" in line
    ]
    assert lines
    assert [line for line in lines if not REASONED.search(line)] == []
