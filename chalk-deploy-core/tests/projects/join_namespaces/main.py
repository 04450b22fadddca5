from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class Card:
    id: int
    user_id: int

@features
class Shop:
    id: int
    user_id: int

@features
class User:
    id: int
    name: str
    card: Card = has_one(lambda: (Card.user_id == User.id) & (Shop.user_id == User.id))
