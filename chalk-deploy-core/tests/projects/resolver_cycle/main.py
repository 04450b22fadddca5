from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    a: int
    b: int
    c: int

@online
def get_a(b: User.b) -> User.a: ...

@online
def get_b(a: User.a) -> User.b: ...

@online
def get_c(b: User.b) -> User.c: ...
