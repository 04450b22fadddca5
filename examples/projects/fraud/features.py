"""The two entities of the fraud team: people, and the payments that they make."""

from datetime import date, datetime

from chalk import _
from chalk.features import DataFrame, FeatureTime, Primary, feature, features, has_many


@features(owner="fraud@example.com", tags="team:fraud")
class Transaction:
    """A card payment, as the ledger books it."""

    # The ledger's own number of the payment.
    id: Primary[str]

    # The person who paid.
    user_id: "User.id"

    # What was paid, in the currency of the account.
    amount: float

    # The four digits of ISO 18245 that say what kind of shop took the money.
    merchant_category: str

    # The country of the shop, as two letters of ISO 3166-1.
    country: str

    # Whether the shop's country is another one than the account's.
    is_foreign: bool = _.country != _.user.country

    # When the payment was booked.
    booked_at: FeatureTime

    # The account that the payment belongs to.
    user: "User"


@features(owner="fraud@example.com", tags="team:fraud")
class User:
    """A person with an account."""

    # The account's number.
    id: Primary[int]

    # The name that the person signed up with.
    name: str

    # The address that the person signed up with.
    email: str

    # The part of the address behind the `@`, in lower case.
    email_domain: str

    # The country of the account, as two letters of ISO 3166-1.
    country: str

    # The day on which the account was opened.
    opened_on: date

    # What the vendor of credit reports says, refreshed every night.
    # :tags: pii
    credit_score: int = feature(max_staleness="30d")

    # Every payment of the person.
    transactions: DataFrame[Transaction] = has_many(lambda: Transaction.user_id == User.id)

    # How many payments the person has made.
    transaction_count: int = _.transactions.count()

    # The sum of all that the person has paid.
    total_spend: float

    # The share of payments abroad, between 0 and 1.
    foreign_share: float

    # How likely it is that the account is used by someone else, between 0 and 1.
    fraud_score: float = feature(max_staleness="1h")

    # When this was known.
    known_at: FeatureTime
