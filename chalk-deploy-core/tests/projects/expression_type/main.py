from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    name: str
    size: int = _.name

@online
def get_name(id: User.id) -> User.name: ...
