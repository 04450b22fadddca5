from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int

@features
class Card:
    id: int
    owner_id: str
    owner: User = has_one(lambda: Card.owner_id == User.id)
