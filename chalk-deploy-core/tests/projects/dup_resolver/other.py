from chalk import online
from main import User

@online(name="get_score")
def get_score(id: User.id) -> User.score: ...
