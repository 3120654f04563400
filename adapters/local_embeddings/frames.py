"""What stands before a request and before an answer on the socket of the process that embeds."""

import struct

REQUEST = struct.Struct("!I")
"""The length of a request's JSON."""

ANSWER = struct.Struct("!II")
"""The lengths of an answer's JSON and of its vectors."""
