from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class Shop:
    id: str
    user_id: str

@features
class User:
    id: int
    shops: DataFrame[Shop] = has_many(lambda: Shop.user_id == User.id)
