-- What normalise.lua and edge.lua share; it stands before either. The rules are those of src/router/baggage.rs.

local KEY = "dev-env"
local HEADER = "x-dev-env"

-- Patterns with two repetitions would be slow on long runs of white space.
local function trimmed(text)
  local first = text:find("[^ \t]")
  if not first then
    return ""
  end
  local last = #text
  while text:find("^[ \t]", last) do
    last = last - 1
  end
  return text:sub(first, last)
end

local function label(text)
  return #text > 0 and #text <= 63 and not text:find("[^a-z0-9-]") and not text:find("^-") and not text:find("-$")
end

-- The value of a member of baggage with our key, still encoded; nil for every other member.
local function value_of(member)
  local pair = member:match("^[^;]*")
  local equals = pair:find("=", 1, true)
  if equals and trimmed(pair:sub(1, equals - 1)) == KEY then
    return trimmed(pair:sub(equals + 1))
  end
  return nil
end
