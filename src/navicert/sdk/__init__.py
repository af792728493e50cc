"""The SDK: govern Python tools with a decorator and a session (architecture "SDK / instrumentation")."""
