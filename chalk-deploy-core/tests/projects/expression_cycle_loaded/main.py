from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    height: int = _.width + 1
    width: int = _.height - 1

@offline
def load() -> DataFrame[User.id, User.height]: ...
