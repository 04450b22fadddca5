from chalk.features import features


@features
class Keyless:
    name: str
