"""Prints the table in map_table.rs from the descriptors of the chalkpy that is installed.

    python3 map_table.py > table.txt
"""

import textwrap

from chalk._gen.chalk.artifacts.v1 import export_pb2


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


messages = {}
queue = [export_pb2.Export.DESCRIPTOR]
while queue:
    message = queue.pop(0)
    if message.full_name not in messages:
        messages[message.full_name] = message
        queue.extend(field.message_type for field in message.fields if field.message_type)

# Only messages that lead to a map somewhere matter.
leading = set()
while True:
    more = {
        name
        for name, message in messages.items()
        if name not in leading
        and any(is_map(f) or (f.message_type and f.message_type.full_name in leading) for f in message.fields)
    }
    if not more:
        break
    leading |= more

listed = [name for name in messages if name in leading]
place = {name: number for number, name in enumerate(listed)}
for name in listed:
    fields = sorted(messages[name].fields, key=lambda field: field.number)
    maps = [str(field.number) for field in fields if is_map(field)]
    ways = [
        f"({field.number}, {place[field.message_type.full_name]})"
        for field in fields
        if field.message_type is not None and field.message_type.full_name in place
    ]
    row = f"(&[{', '.join(maps)}], &[{', '.join(ways)}]),"
    print(f"    // {place[name]}: {name.removeprefix('chalk.')}")
    # Pairs stay on one line.
    wrapped = textwrap.fill(row.replace(", ", ",~").replace("),~(", "), ("), 116, initial_indent="    ", subsequent_indent="        ")
    print(wrapped.replace("~", " "))
