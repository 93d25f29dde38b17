--[[ read_clock: the server's clock. Writes nothing. A script, because TIME alone is answered while the server
is still loading its file, when nothing else is.
KEYS  none
Returns now ms ]]
-- @include clock
return now
