"""Telemetry: what auth counts, with bounded labels."""

from prometheus_client import Counter

LOG_INS = Counter(
    "samband_log_ins", "Log-ins tried, by what was shown and what came of it; never whose.", ["method", "outcome"]
)
CODES = Counter(
    "samband_codes", "Codes, links and reminders asked for, by purpose and what came of it.", ["purpose", "outcome"]
)
BLOCKS = Counter(
    "samband_blocks", "Blocks of accounts after wrong passwords in a row, by what became of the mail.", ["outcome"]
)
PASSWORDS_SET = Counter("samband_passwords_set", "New passwords, by the way in which they were set.", ["way"])
HASHES_REFUSED = Counter("samband_hashes_refused", "Passwords turned away because too many waited to be hashed.")
