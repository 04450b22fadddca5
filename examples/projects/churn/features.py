"""The three entities of the retention team: customers, what they subscribe to, and what is used of it each day."""

from datetime import date

from chalk import _
from chalk.features import DataFrame, FeatureTime, Primary, feature, features, has_many


@features(owner="retention@example.com", tags="team:retention")
class UsageDay:
    """What one subscription was used for on one day."""

    # The subscription's number and the day.
    id: Primary[str]

    # The subscription that was used.
    subscription_id: "Subscription.id"

    # How often someone signed in.
    logins: int

    # How many minutes the product was open.
    minutes: float

    # How many requests came through the programming interface.
    api_calls: int

    # How many of the seats were used.
    seats_active: int

    # Whether more seats were used than were paid for.
    is_over_seats: bool = _.seats_active > _.subscription.seats

    # The day.
    day: FeatureTime

    # The subscription that was used.
    subscription: "Subscription"


@features(owner="retention@example.com", tags="team:retention")
class Subscription:
    """What a customer pays for."""

    # The subscription's number.
    id: Primary[int]

    # The customer who pays.
    customer_id: "Customer.id"

    # The plan, as `data/plans.csv` lists them.
    plan: str

    # How many seats are paid for.
    seats: int

    # What is paid a month.
    monthly_price: float

    # The day on which it began.
    started_on: date

    # Every day on which it was used.
    usage: DataFrame[UsageDay] = has_many(lambda: UsageDay.subscription_id == Subscription.id)

    # On how many days it was used.
    days_used: int = _.usage.count()

    # The minutes of all days.
    minutes_total: float = _.usage[_.minutes].sum()

    # The signals of the folder `signals`, added up with their weights.
    engagement: float = feature(max_staleness="6h")

    # The customer who pays.
    customer: "Customer"


@features(owner="retention@example.com", tags="team:retention")
class Customer:
    """Who pays for one or more subscriptions."""

    # The customer's number.
    id: Primary[int]

    # The name of the company.
    name: str

    # The country of the company, as two letters of ISO 3166-1.
    country: str

    # Every subscription of the customer.
    subscriptions: DataFrame[Subscription] = has_many(lambda: Subscription.customer_id == Customer.id)

    # How many subscriptions there are.
    subscription_count: int = _.subscriptions.count()

    # What the customer pays a month.
    monthly_spend: float = _.subscriptions[_.monthly_price].sum()

    # The engagement of the subscription that is used least.
    lowest_engagement: float

    # How likely it is that the customer leaves within a month, between 0 and 1.
    churn_risk: float = feature(max_staleness="1h")

    # When this was known.
    known_at: FeatureTime
