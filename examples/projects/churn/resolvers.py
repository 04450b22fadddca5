"""How features are made: when a query asks (online), in bulk (offline), and on a schedule."""

import numpy as np
from chalk import offline, online
from chalk.features import DataFrame

import signals
from features import Customer, Subscription, UsageDay
from sources import CUSTOMERS, SUBSCRIPTIONS, plans, usage

OWNER = "retention@example.com"
TEAM = "team:retention"


@online(owner=OWNER, tags=[TEAM])
def get_engagement(
    days: Subscription.usage[UsageDay.day, UsageDay.logins, UsageDay.minutes, UsageDay.api_calls, UsageDay.seats_active],
) -> Subscription.engagement:
    """The signals of the last days, each squeezed between 0 and 1, then their weighted mean."""
    rows = sorted(days.to_features(), key=lambda row: row.day)
    return signals.engagement({name: [getattr(row, name) for row in rows] for name in signals.METRICS})


@online(owner=OWNER, tags=[TEAM])
def get_lowest_engagement(
    subscriptions: Customer.subscriptions[Subscription.engagement],
) -> Customer.lowest_engagement:
    """A customer leaves with the product that nobody opens any more."""
    return float(np.min([row.engagement for row in subscriptions.to_features()], initial=1.0))


@online(owner=OWNER, tags=[TEAM], timeout="500ms")
def get_churn_risk(
    lowest_engagement: Customer.lowest_engagement,
    subscription_count: Customer.subscription_count,
    monthly_spend: Customer.monthly_spend,
) -> Customer.churn_risk:
    """A logistic curve that a person can check: little use raises it, several products and a high bill lower it."""
    score = 2.0 - 5.0 * lowest_engagement - 0.4 * subscription_count - np.log1p(monthly_spend) / 10.0
    return float(1.0 / (1.0 + np.exp(-score)))


@offline(owner=OWNER, tags=[TEAM])
def load_customers() -> DataFrame[Customer.id, Customer.name, Customer.country]:
    """Every customer."""
    return DataFrame([Customer(**customer) for customer in CUSTOMERS])


@offline(owner=OWNER, tags=[TEAM], cron="1d")
def load_subscriptions() -> DataFrame[
    Subscription.id,
    Subscription.customer_id,
    Subscription.plan,
    Subscription.seats,
    Subscription.monthly_price,
    Subscription.started_on,
]:
    """Every subscription, with the price that its plan has now."""
    prices = plans()
    return DataFrame(
        [
            Subscription(
                id=id, customer_id=customer, plan=plan, seats=seats, monthly_price=prices[plan], started_on=started_on
            )
            for id, customer, plan, seats, started_on in SUBSCRIPTIONS
        ]
    )


@offline(owner=OWNER, tags=[TEAM], cron="0 3 * * *")
def load_usage() -> DataFrame[
    UsageDay.id,
    UsageDay.subscription_id,
    UsageDay.logins,
    UsageDay.minutes,
    UsageDay.api_calls,
    UsageDay.seats_active,
    UsageDay.day,
]:
    """Every night at three, the usage of the last month."""
    return DataFrame([UsageDay(**row) for number, *_ in SUBSCRIPTIONS for row in usage(number)])
