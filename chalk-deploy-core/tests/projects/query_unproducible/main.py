from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    score: int
    height: int

@online
def get_score(height: User.height) -> User.score: ...

NamedQuery(name="q", version="1.0.0", input=[User.id], output=[User.score])
NamedQuery(name="given", version="1.0.0", input=[User.id, User.height], output=[User.score])
