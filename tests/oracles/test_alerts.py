"""Alerts: Prometheus' own tool takes the rules, fires each one on what it is for, and none on a day without trouble."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.queries import FOLDER, rules

RULES = FOLDER / "alerts.yaml"
AUTH, API = 'job="samband-auth-worker",instance="a"', 'job="samband-auth-api",instance="a"'
MAILER = 'job="samband-notifications-worker",instance="a"'
NEVER, OFTEN = "0x120", "0+60x120"
"""Values minute by minute: a counter that stands, one that goes on by 60."""

Series = Mapping[str, str]
HEALTHY: Series = {
    f"up{{{API}}}": "1x120",
    f"process_start_time_seconds{{{API}}}": "1000x120",
    f'samband_build_info{{{API},service="auth",version="1"}}': "1x120",
    f'samband_http_seconds_count{{{API},method="GET",route="/v1/session",status="2xx"}}': OFTEN,
    f'samband_http_seconds_count{{{API},method="GET",route="/readyz",status="5xx"}}': OFTEN,
    f'samband_http_seconds_bucket{{{API},route="/v1/session",le="0.1"}}': OFTEN,
    f'samband_http_seconds_bucket{{{API},route="/v1/session",le="+Inf"}}': OFTEN,
    f'samband_outbox_oldest_seconds{{{AUTH},service="auth"}}': "0.2x120",
    f'samband_relay_leads{{{AUTH},service="auth"}}': "1x120",
    'samband_relay_leads{job="samband-auth-worker",instance="b",service="auth"}': "0x120",
    f'samband_outbox_held{{{AUTH},service="auth",what="key"}}': "0x120",
    f'samband_consumer_lag{{{MAILER},lane="urgent",topic="t",partition="0"}}': "3x120",
    f'samband_consumed_total{{{MAILER},lane="urgent",outcome="handled"}}': OFTEN,
    f'samband_dead_letters{{{AUTH},service="auth",state="parked"}}': "0x120",
    f'samband_dead_letters{{{AUTH},service="auth",state="waiting"}}': "3x120",
    f'samband_set_aside_total{{{MAILER},lane="urgent",reason="Waits"}}': OFTEN,
    f'samband_unread_looks{{{MAILER},group="g"}}': "1x120",
    f'samband_requests_total{{{AUTH},system="shop",outcome="accepted"}}': OFTEN,
    f'samband_mail_answers_total{{{MAILER},verdict="taken"}}': OFTEN,
    f'samband_mail_answers_total{{{MAILER},verdict="outage"}}': "0+1x120",
    f'samband_mails_settled_total{{{MAILER},kind="login_code",outcome="delivered"}}': OFTEN,
    f'samband_mails_settled_total{{{MAILER},kind="login_code",outcome="bounced"}}': "0+1x120",
    f'samband_mail_age_seconds_bucket{{{MAILER},le="1"}}': OFTEN,
    f'samband_mail_age_seconds_bucket{{{MAILER},le="+Inf"}}': OFTEN,
    f"samband_pool_waiting{{{API}}}": "0x120",
    f'samband_loop_lag_seconds_bucket{{{API},le="0.01"}}': OFTEN,
    f'samband_loop_lag_seconds_bucket{{{API},le="+Inf"}}': OFTEN,
    f'samband_loop_failures_total{{{AUTH},loop="codes"}}': "0 0 1x118",
    f'samband_consumer_failures_total{{{MAILER},lane="urgent"}}': "0 0 1x118",
    f'samband_spans_total{{{API},outcome="sent"}}': OFTEN,
    f'samband_spans_total{{{API},outcome="lost"}}': NEVER,
}
TROUBLE: Mapping[str, Series] = {
    "SambandProcessDown": {f"up{{{API}}}": "0x120"},
    "SambandStartsAgainAndAgain": {f"process_start_time_seconds{{{API}}}": "1000+300x120"},
    "SambandVersionsMixed": {'samband_build_info{job="samband-auth-api",service="auth",version="2"}': "1x120"},
    "SambandRequestsFail": {f'samband_http_seconds_count{{{API},route="/v1/sessions",status="5xx"}}': "0+3x120"},
    "SambandRequestsSlow": {
        f'samband_http_seconds_bucket{{{API},route="/v1/sessions",le="5"}}': OFTEN,
        f'samband_http_seconds_bucket{{{API},route="/v1/sessions",le="+Inf"}}': OFTEN,
    },
    "SambandOutboxWaits": {f'samband_outbox_oldest_seconds{{{AUTH},service="auth"}}': "0+60x120"},
    "SambandNoRelayLeads": {f'samband_relay_leads{{{AUTH},service="auth"}}': "0x120"},
    "SambandOutboxHeld": {f'samband_outbox_held{{{AUTH},service="auth",what="key"}}': "1x120"},
    "SambandConsumerStands": {f'samband_consumed_total{{{MAILER},lane="urgent",outcome="handled"}}': "7x120"},
    "SambandConsumerFallsBehind": {
        f'samband_consumer_lag{{{MAILER},lane="urgent",topic="t",partition="0"}}': "0+1000x120"
    },
    "SambandMessageParked": {f'samband_dead_letters{{{AUTH},service="auth",state="parked"}}': "1x120"},
    "SambandManySetAside": {f'samband_set_aside_total{{{MAILER},lane="urgent",reason="CannotOpen"}}': "0+5x120"},
    "SambandConsumerAlmostStuck": {f'samband_unread_looks{{{MAILER},group="g"}}': "3x120"},
    "SambandRequestsOfASystemRefused": {
        f'samband_requests_total{{{AUTH},system="shop",outcome="wrong_signature"}}': "0+1x120"
    },
    "SambandMailServerAway": {
        f'samband_mail_answers_total{{{MAILER},verdict="taken"}}': "7x120",
        f'samband_mail_answers_total{{{MAILER},verdict="outage"}}': OFTEN,
    },
    "SambandMailsBounce": {f'samband_mails_settled_total{{{MAILER},kind="login_code",outcome="bounced"}}': "0+10x120"},
    "SambandCodesLate": {
        f'samband_mail_age_seconds_bucket{{{MAILER},le="30"}}': OFTEN,
        f'samband_mail_age_seconds_bucket{{{MAILER},le="120"}}': "0+70x120",
        f'samband_mail_age_seconds_bucket{{{MAILER},le="+Inf"}}': "0+70x120",
    },
    "SambandPoolFull": {f"samband_pool_waiting{{{API}}}": "2x120"},
    "SambandEventLoopHeldUp": {
        f'samband_loop_lag_seconds_bucket{{{API},le="0.5"}}': "0+70x120",
        f'samband_loop_lag_seconds_bucket{{{API},le="+Inf"}}': "0+70x120",
    },
    "SambandLoopFails": {f'samband_loop_failures_total{{{AUTH},loop="codes"}}': "0+1x120"},
    "SambandConsumerFails": {f'samband_consumer_failures_total{{{MAILER},lane="urgent"}}': "0+1x120"},
    "SambandSpansLost": {f'samband_spans_total{{{API},outcome="lost"}}': OFTEN},
}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not in PATH: install Prometheus (Debian: apt install prometheus)")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)


def watched(name: str, series: Series, *alerts: str) -> dict[str, Any]:
    """Write a test of Prometheus': it watches the series for two hours, and exactly these alerts fire at their end."""
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "120m",
                "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts],
            }
        ],
    }


def run(folder: Path, *tests: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "5m", "tests": list(tests)}))
    return promtool("test", "rules", str(file))


def test_prometheus_takes_the_rules() -> None:
    ran = promtool("check", "rules", str(RULES))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_alert_fires_on_its_trouble_alone_and_none_on_a_day_without(tmp_path: Path) -> None:
    troubles = [watched(alert, {**HEALTHY, **series}, alert) for alert, series in TROUBLE.items()]
    ran = run(tmp_path, watched("no trouble", HEALTHY), *troubles)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "test",
    [
        watched("silent", HEALTHY, "SambandPoolFull"),
        watched("loud", {**HEALTHY, **TROUBLE["SambandPoolFull"]}),
    ],
    ids=lambda test: test["name"],
)
def test_an_alert_that_does_not_fire_or_should_not_is_found(test: dict[str, Any], tmp_path: Path) -> None:
    assert run(tmp_path, test).returncode == 1


def test_no_alert_is_without_its_trouble() -> None:
    assert set(TROUBLE) == {rule["alert"] for rule in rules()}
