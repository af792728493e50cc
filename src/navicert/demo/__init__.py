"""The demonstration: a scripted agent with real tools in a small world, governed by a policy that is meant to be read.

policy.yaml  what may happen          tools.py  six kinds of tools, each governed by one line
agent.py     what the agent tries     world.py  mail server, database, deploy service: what the tools reach
person.py    Ben, who approves, in a process of his own
story.py     tells it, and asks the world itself whether it is true
"""
