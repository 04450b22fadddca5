"""Prints which fields of the messages in this folder are missing, from the descriptors of the chalkpy that is installed.

    python3 missing_fields.py

A message here says in its documentation which one of the contract it is. What it prints is what a new version of chalkpy
has added, or what is left out on purpose.
"""

import pathlib
import re

from chalk._gen.chalk.artifacts.v1 import export_pb2

messages, queue = {}, [export_pb2.Export.DESCRIPTOR]
while queue:
    message = queue.pop()
    if message.full_name not in messages:
        messages[message.full_name] = message
        queue.extend(field.message_type for field in message.fields if field.message_type)

struct = re.compile(r"/// `((?:chalk|google)\.[A-Za-z0-9_.]+)`(?:(?!\npub enum|\npub mod).)*?pub struct (\w+) \{(.*?)\n\}", re.S)
for file in sorted(pathlib.Path(__file__).parent.glob("*.rs")):
    for full_name, name, body in struct.findall(file.read_text()):
        if full_name not in messages:
            print(f"{full_name} ({name}) is no message of the contract")
            continue
        numbers = {int(tag) for tag in re.findall(r'tag = "(\d+)"', body)}
        for tags in re.findall(r'tags = "([\d, ]+)"', body):
            numbers |= {int(tag) for tag in tags.split(",")}
        for field in sorted(messages[full_name].fields, key=lambda field: field.number):
            if field.number not in numbers:
                kind = field.message_type.full_name if field.message_type else field.enum_type.full_name if field.enum_type else field.type
                print(f"{full_name} ({name}): {field.number} {field.name} {'repeated ' if field.is_repeated else ''}{kind}{' optional' if field.has_presence else ''}")
        for number in sorted(numbers - {field.number for field in messages[full_name].fields}):
            print(f"{full_name} ({name}): {number} is no field of it")
