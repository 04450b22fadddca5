from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one

from chalk.sql import PostgreSQLSource

PG = PostgreSQLSource(name="PG")

@features
class User:
    id: int
    a: int
    b: int

@online
def get_a(b: User.b) -> User.a: ...

@online
def get_b(a: User.a) -> User.b: ...
