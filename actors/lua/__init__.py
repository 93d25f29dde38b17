"""The queue's own Lua scripts; Dramatiq has the others."""
