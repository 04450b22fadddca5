from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    amount: float
    whole: int = _.amount / 2
    ratio: float = _.whole + 1
    flag: bool = _.whole > 3

@online
def get_amount(id: User.id) -> User.amount: ...
