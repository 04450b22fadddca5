from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class User:
    id: int
    email: str
    name: str

@online
def get_name(email: User.email) -> Features[User.email, User.name]: ...

NamedQuery(name="q", version="1.0.0", input=[User.email], output=[User.name])
