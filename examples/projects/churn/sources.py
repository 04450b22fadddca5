"""Where the data comes from: rows of its own, so that the project can be deployed and queried without an account."""

import csv
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

CUSTOMERS = [
    {"id": 1, "name": "Northwind Charts", "country": "DK"},
    {"id": 2, "name": "Kilimo Data", "country": "KE"},
]

# Number, customer, plan, seats, first day.
SUBSCRIPTIONS = [
    (10, 1, "team", 15, date(2023, 2, 1)),
    (11, 1, "starter", 3, date(2025, 8, 20)),
    (20, 2, "business", 60, date(2024, 5, 6)),
]

# The last day of which the usage is known.
LAST_DAY = datetime(2026, 1, 31, tzinfo=timezone.utc)


def usage(subscription: int, days: int = 30) -> list[dict]:
    """The usage of a subscription on its last days, oldest first."""
    rows = []
    for back in range(days, 0, -1):
        day = LAST_DAY - timedelta(days=back - 1)
        strength = (subscription * 7 + back * 3) % 11
        rows.append(
            {
                "id": f"{subscription}-{day:%Y%m%d}",
                "subscription_id": subscription,
                "logins": strength,
                "minutes": strength * 13.5,
                "api_calls": strength * strength * 5,
                "seats_active": min(strength, 9),
                "day": day,
            }
        )
    return rows


def plans() -> dict[str, float]:
    """The price of each plan a month."""
    with (Path(__file__).parent / "data" / "plans.csv").open(newline="") as file:
        return {row["plan"]: float(row["monthly_price"]) for row in csv.DictReader(file)}
