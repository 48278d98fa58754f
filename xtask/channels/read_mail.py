"""Prints the messages of a maildir as JSON, as Python's own library for mail reads them."""

import email.policy
import json
import mailbox
import sys

folder = mailbox.Maildir(sys.argv[1], create=False)
messages = []
for key in sorted(folder.keys()):
    message = email.message_from_bytes(folder.get_bytes(key), policy=email.policy.default)
    parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
    messages.append({"headers": {name.lower(): str(value) for name, value in message.items()}, "parts": parts})
json.dump(messages, sys.stdout)
