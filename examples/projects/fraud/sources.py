"""Where the data comes from.

A real project reads a warehouse here. This one carries a few rows of its own, so that it can be deployed and queried
without an account anywhere.
"""

from datetime import date, datetime, timezone

ACCOUNTS = [
    {"id": 1, "name": "Ada Okafor", "email": "ada@Example.com", "country": "GB", "opened_on": date(2019, 4, 1)},
    {"id": 2, "name": "Bo Lindqvist", "email": "bo@example.org", "country": "SE", "opened_on": date(2024, 11, 30)},
]

PAYMENTS = [
    ("t-1", 1, 12.5, "5411", "GB", datetime(2026, 1, 5, 9, 30, tzinfo=timezone.utc)),
    ("t-2", 1, 840.0, "5732", "FR", datetime(2026, 1, 6, 22, 10, tzinfo=timezone.utc)),
    ("t-3", 2, 31.9, "5814", "SE", datetime(2026, 1, 6, 12, 0, tzinfo=timezone.utc)),
]

CREDIT_SCORES = {1: 712, 2: 655}
