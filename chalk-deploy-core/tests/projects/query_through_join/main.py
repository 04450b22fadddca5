from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class Home:
    id: int
    rooms: int
    doors: int

@features
class User:
    id: int
    home_id: int
    home: Home = has_one(lambda: User.home_id == Home.id)
    rooms: int = _.home.rooms

@online
def get_home(id: User.id) -> User.home_id: ...

@online
def get_rooms(id: Home.id) -> Home.rooms: ...

NamedQuery(name="q", version="1.0.0", input=[User.id], output=[User.rooms, User.home.rooms])
NamedQuery(name="bad", version="1.0.0", input=[User.id], output=[User.home.doors])
