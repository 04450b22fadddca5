from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one

from chalk import ScheduledQuery

@features
class User:
    id: int
    score: int

@online
def get_score(id: User.id) -> User.score: ...

ScheduledQuery(name="nightly", schedule="every night", output=[User.score])
