from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one


@features
class Team:
    id: int
    rank: int
    size: int

@features
class User:
    id: int
    team_id: "Team.id"
    team: Team
    a: int
    b: int
    c: int
    d: int

@online
def get_team(id: User.id) -> User.team_id: ...

@online
def get_a(b: User.b, c: User.c) -> User.a: ...

@online
def get_b(c: User.c) -> User.b: ...

@online
def get_c(a: User.a, rank: User.team.rank) -> User.c: ...

@online
def get_d(c: User.c) -> User.d: ...

@online
def get_rank(size: Team.size) -> Team.rank: ...

@online
def get_size(id: Team.id) -> Team.size: ...
