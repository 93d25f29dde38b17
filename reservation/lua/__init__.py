"""The Lua scripts, one operation a file; `_name.lua` are parts that several of them include."""
