from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    a: int = feature(max_staleness="30d", etl_offline_to_online=True)
    b: int

@online
def get_a(b: User.b) -> User.a: ...

@online
def get_b(a: User.a) -> User.b: ...

@offline(cron="0 2 * * *")
def load_a() -> DataFrame[User.id, User.a]: ...
