import os

from chalk import ScheduledQuery, _, online
from chalk.features import DataFrame, FeatureTime, Primary, features
from chalk.streams import KafkaSource, stream
from pydantic import BaseModel

from pkg.helper import Colour, weigh

HERE = os.path.dirname(__file__)
kafka = KafkaSource(name="kafka", ssl_ca_file=os.path.join(HERE, "ca.pem"))


@features
class Payment:
    id: Primary[str]
    account_id: "Account.id"
    amount: float


@features(owner="ada@example.com")
class Account:
    id: int
    age: int
    home: str = HERE
    payments: DataFrame[Payment]
    spent: float = _.payments[_.amount].sum()
    twice: float = _.spent + _.spent
    seen: FeatureTime


@online
def get_age(id: Account.id) -> Account.age:
    return weigh(id) + Colour.RED.value


class Message(BaseModel):
    id: int
    age: int


@stream(source=kafka)
def read_messages(message: Message) -> DataFrame[Account.id, Account.age]:
    return DataFrame([Account(id=message.id, age=message.age)])


ScheduledQuery(name="nightly", schedule="0 0 * * *", output=[Account.age], store_online=True)
