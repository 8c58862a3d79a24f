"""Take a raw reply apart: what is text, what is a call, what had to be mended.

Run it: python examples/parse_text.py
"""

import toolmend

READ_FILE = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read a text file.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "lines": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
            "required": ["path"],
        },
    },
}

REPLY = """I will look into the file.
<tool_call>
{"name": "read_file", "arguments": {"path": "notes.txt", "lines": "20"},}
</tool_call>"""

# a whole reply
reply = toolmend.parse(REPLY, tools=[READ_FILE])
print("text:   ", reply.text)
for call in reply.calls:
    print("call:   ", call.name, call.arguments)
    print("repairs:", "; ".join(call.repairs))

# the same reply as it streams, eight characters at a time
parser = toolmend.StreamParser(tools=[READ_FILE])
for start in range(0, len(REPLY), 8):
    for event in parser.feed(REPLY[start : start + 8]):
        print(event)
for event in parser.close():
    print(event)
