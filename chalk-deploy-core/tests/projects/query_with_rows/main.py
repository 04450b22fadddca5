from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class Card:
    id: int
    user_id: int
    limit: float

@features
class User:
    id: int
    cards: DataFrame[Card] = has_many(lambda: Card.user_id == User.id)
    total: float = _.cards[_.limit].sum()

@offline
def load() -> DataFrame[Card.id, Card.user_id, Card.limit]: ...

NamedQuery(name="q", version="1.0.0", input=[User.id], output=[User.total, User.cards])
NamedQuery(name="no_input", version="1.0.0", output=[User.total])
