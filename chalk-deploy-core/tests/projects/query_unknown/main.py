from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    score: int

@online
def get_score(id: User.id) -> User.score: ...

NamedQuery(name="q", version="1.0.0", input=["user.id"], output=["user.score", "user.height"])
