from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    a: int
    b: int

@online
def get_a(b: User.b) -> User.a: ...

@online
def get_b(a: User.a) -> User.b: ...

# That a query is given one of them does not help the queries that are not.
NamedQuery(name="given", version="1.0.0", input=[User.id, User.a], output=[User.b])
