"""What the account managers' list asks for each morning."""

from chalk import NamedQuery

from features import Customer

NamedQuery(
    name="accounts_at_risk",
    version="1.0.0",
    input=[Customer.id],
    output=[Customer.churn_risk, Customer.lowest_engagement, Customer.monthly_spend],
    staleness={Customer.churn_risk: "1h"},
    tags=["team:retention"],
    owner="retention@example.com",
    description="Whether someone should call the customer today.",
)
