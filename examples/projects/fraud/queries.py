"""What the payment service asks for before it lets a payment through."""

from chalk import NamedQuery

from features import User

NamedQuery(
    name="fraud_check",
    version="1.0.0",
    input=[User.id, User.email],
    output=[User.fraud_score, User.email_domain, User.total_spend],
    staleness={User.credit_score: "30d"},
    tags=["team:fraud"],
    owner="fraud@example.com",
    description="Whether a payment may go through: asked for by the payment service on every payment.",
)
