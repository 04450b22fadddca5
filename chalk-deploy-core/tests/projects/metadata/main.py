from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    # what it is
    # :tags: x
    # :owner: a@b.c
    score: int
    rank: int

@online
def get_score(id: User.id) -> User.score: ...

@online(owner="a@b.c")
def get_rank(id: User.id) -> User.rank:
    """Rank."""
