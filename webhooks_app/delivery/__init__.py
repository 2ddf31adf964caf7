"""The delivery engine: claim, sign, send, record; see `engine.Engine.run`."""
