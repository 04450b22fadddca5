"""How features are made: when a query asks (online), in bulk (offline), and on a schedule."""

from chalk import offline, online
from chalk.features import DataFrame, Features

from features import Transaction, User
from sources import ACCOUNTS, CREDIT_SCORES, PAYMENTS

OWNER = "fraud@example.com"
TEAM = "team:fraud"


@online(owner=OWNER, tags=[TEAM])
def get_email_domain(email: User.email) -> User.email_domain:
    """The part of the address that tells a company from a throw-away mailbox."""
    return email.rpartition("@")[2].lower()


@online(owner=OWNER, tags=[TEAM])
def get_spending(
    payments: User.transactions[Transaction.amount, Transaction.is_foreign],
) -> Features[User.total_spend, User.foreign_share]:
    """What the person has paid, and how much of it abroad."""
    total = abroad = 0.0
    for payment in payments.to_features():
        total += payment.amount
        abroad += payment.amount if payment.is_foreign else 0.0
    return User(total_spend=total, foreign_share=abroad / total if total else 0.0)


@online(owner=OWNER, tags=[TEAM], timeout="500ms")
def get_fraud_score(
    foreign_share: User.foreign_share,
    transaction_count: User.transaction_count,
    credit_score: User.credit_score,
) -> User.fraud_score:
    """A score that a person can check: payments abroad raise it, a good report and a long history lower it."""
    reputation = min(max(credit_score - 300, 0) / 550, 1.0)
    history = min(transaction_count / 50, 1.0)
    return round(foreign_share * (1.0 - 0.5 * reputation) * (1.0 - 0.5 * history), 4)


@offline(owner=OWNER, tags=[TEAM], cron="0 2 * * *")
def refresh_credit_scores() -> DataFrame[User.id, User.credit_score]:
    """Every night at two, what the vendor of credit reports says about each person."""
    return DataFrame([User(id=id, credit_score=score) for id, score in CREDIT_SCORES.items()])


@offline(owner=OWNER, tags=[TEAM])
def load_accounts() -> DataFrame[User.id, User.name, User.email, User.country, User.opened_on]:
    """Every account, for training sets and for filling the online store."""
    return DataFrame([User(**account) for account in ACCOUNTS])


@offline(owner=OWNER, tags=[TEAM], cron="1h")
def load_transactions() -> DataFrame[
    Transaction.id,
    Transaction.user_id,
    Transaction.amount,
    Transaction.merchant_category,
    Transaction.country,
    Transaction.booked_at,
]:
    """Every hour, the payments that the ledger has booked."""
    return DataFrame(
        [
            Transaction(
                id=id,
                user_id=user_id,
                amount=amount,
                merchant_category=merchant_category,
                country=country,
                booked_at=booked_at,
            )
            for id, user_id, amount, merchant_category, country, booked_at in PAYMENTS
        ]
    )
