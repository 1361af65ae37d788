-- Sets x-dev-env to the environment that a request asks for. Comes after members.lua.
-- A request with neither header costs two look-ups and is left as it is.

local UNKNOWN = "-"

-- nil if the encoding is broken, or the text too long for a name in any case.
local function decoded(text)
  if #text > 189 or text:gsub("%%%x%x", ""):find("%", 1, true) then
    return nil
  end
  return (text:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- The value of the last member with our key, still encoded.
local function from_baggage(text)
  local value = nil
  if text:find(KEY, 1, true) then
    for member in text:gmatch("[^,]+") do
      if member:find(KEY, 1, true) then
        value = value_of(member) or value
      end
    end
  end
  return value
end

local function from_header(text)
  local value = nil
  for entry in text:gmatch("[^,]+") do
    local name = trimmed(entry)
    if name ~= "" then
      value = name
    end
  end
  return value
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local baggage = headers:get("baggage")
  local plain = headers:get(HEADER)
  if not baggage and not plain then
    return
  end
  local asked = baggage and from_baggage(baggage)
  if asked then
    asked = decoded(asked)
  else
    asked = plain and from_header(plain)
    if not asked then
      return
    end
  end
  if not asked or not label(asked) then
    asked = UNKNOWN
  end
  if asked ~= plain then
    headers:replace(HEADER, asked)
  end
end
