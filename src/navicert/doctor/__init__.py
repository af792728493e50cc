"""The checks of `navicert doctor`: the home from its operator's side, the walls from the agent's (R1.e)."""
