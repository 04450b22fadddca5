from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class Transaction:
    id: int
    amount: float
    user_id: "User.id"
    share: float = _.amount / _.user.total
    user: "User"

@features
class User:
    id: int
    transactions: DataFrame[Transaction]
    total: float = _.transactions[_.amount].sum()
    biggest: "float | None" = _.transactions[_.share].max()

@offline
def load() -> DataFrame[Transaction.id, Transaction.user_id, Transaction.amount]: ...

NamedQuery(name="q", version="1.0.0", input=[User.id], output=[User.biggest])
