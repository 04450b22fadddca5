import enum
import os


class Colour(enum.Enum):
    RED = 1


def depth():
    return len(os.path.dirname(__file__))


def weigh(number):
    return number + depth()
