from chalk import _, online, offline, NamedQuery
from chalk.features import DataFrame, Features, FeatureTime, Primary, feature, features, has_many, has_one

import datetime as dt
from chalk import ScheduledQuery, Windowed, windowed, stream
import chalk.functions as F
from chalk.sql import PostgreSQLSource, SnowflakeSource
from chalk.streams import KafkaSource
from chalk.features.resolver import sink
from pydantic import BaseModel

pg = PostgreSQLSource(name="PG")
kafka = KafkaSource(name="KAFKA")

@features(singleton=True)
class Market:
    open: bool = True

@features(max_staleness="1d", owner="x@y.z", tags=["t"])
class Transaction:
    id: int
    amount: float
    user_id: "User.id"
    kind: str
    at: FeatureTime
    big: bool = _.amount > 100
    user: "User"

@features
class Home:
    id: int
    rooms: int

@features(max_staleness="infinity")
class User:
    id: int
    name: str
    upper: str = F.upper(_.name)
    age: int = 3
    birthday: dt.date
    transactions: DataFrame[Transaction]
    n: int = _.transactions.count()
    total: float = _.transactions[_.amount, _.big].sum()
    total2: float = _.transactions[_.amount, _.user.age > 3, _.kind == "x"].sum()
    spend: Windowed[float] = windowed("1d", "7d", expression=_.transactions[_.amount, _.at > _.chalk_window, _.at < _.chalk_now].sum(), default=0)
    mspend: Windowed[float] = windowed("1d", "7d", materialization={"bucket_duration": "1h"}, expression=_.transactions[_.amount, _.at > _.chalk_window, _.at < _.chalk_now].sum(), default=0)
    ratio: float = _.spend["1d"] / F.if_then_else(_.n == 0, 1, _.n)
    home_id: "int | None"
    home: "Home | None" = has_one(lambda: User.home_id == Home.id)
    rooms: "int | None" = _.home.rooms
    last: "float | None" = F.max_by(_.transactions[_.amount], _.at)
    v: int = feature(version=2, default_version=1)
    score: float
    first_name: str

class Message(BaseModel):
    id: int
    amount: float
    user_id: int
    kind: str

@stream(source=kafka)
def on_message(message: Message) -> Features[Transaction.id, Transaction.amount, Transaction.user_id, Transaction.kind]:
    return Transaction(id=message.id, amount=message.amount, user_id=message.user_id, kind=message.kind)

@sink
def send(id: User.id, score: User.score): ...

@online(tags="a")
def get_score(age: User.age, s: User.spend["1d"], ts: User.transactions[Transaction.amount], fn: User.home.rooms, o: Market.open) -> User.score: ...

@online
def get_open() -> Market.open: ...

@online
def v1(id: User.id) -> User.v @ 1: ...
@online
def v2(id: User.id) -> User.v @ 2: ...
@online
def first(n: User.name) -> User.first_name: ...
@online
def home(id: User.id) -> User.home_id: ...
@offline
def homes() -> DataFrame[Home.id, Home.rooms]: ...
@offline
def loads() -> DataFrame[Transaction.id, Transaction.amount]: ...
@online
def cards(id: User.id) -> User.transactions[Transaction.id, Transaction.kind]: ...

ScheduledQuery(name="nightly", schedule="0 0 * * *", output=[User.score])
NamedQuery(name="q", version="1.0.0", input=[User.id], output=[User.score, User.ratio, User.home.rooms, User.spend["1d"], User.transactions], staleness={User.score:"1h"})
NamedQuery(name="all", version="1.0.0", input=[User.id], output=[User])
