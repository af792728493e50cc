"""The MCP gateway: every action that crosses the Model Context Protocol goes through the loop (R1; architecture A).

* A strict pass-through: what is forwarded is the message that was judged, written anew; what is not known is refused.
* `message` reads and writes JSON-RPC, `surfaces` says what each method is, `calling` turns a request into an action and
  an answer into a message, `pins` holds tool definitions to what an operator accepted, `relay` is one connection.
"""
